"""Logs: one line an event, with the request it belongs to and without secrets."""

from __future__ import annotations

import json
import logging

import pytest
import structlog
import uvicorn

from service import logs
from service.settings import Settings


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_events_of_all_kinds_are_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The service's own and those of libraries, each with time, level, logger and request."""
    logs.configure(Settings(log_json=True))
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger("service.test").info("applied", seq=3)
        logging.getLogger("uvicorn.error").warning("careful: %s", 7)
    own, foreign = written(capsys)
    assert (own["event"], own["seq"], own["level"], own["request_id"]) == ("applied", 3, "info", "r1")
    assert (foreign["event"], foreign["logger"], foreign["request_id"]) == ("careful: 7", "uvicorn.error", "r1")
    assert str(own["ts"]).endswith("Z")


def test_uvicorns_own_logging_gives_way(capsys: pytest.CaptureFixture[str]) -> None:
    """Loggers that uvicorn's own configuration keeps to itself, or quiet, write here again."""
    uvicorn.Config(lambda: None, log_level="critical").configure_logging()
    logs.configure(Settings(log_json=True))
    logging.getLogger("uvicorn.error").warning("careful")
    (line,) = written(capsys)
    assert (line["event"], line["logger"]) == ("careful", "uvicorn.error")


def test_secrets_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever passes a key to the log."""
    logs.configure(Settings(log_json=True))
    structlog.get_logger("service.test").info("refused", authorization="Bearer hunter2", redis_url="redis://hunter2@x")
    assert "hunter2" not in capsys.readouterr().err


@pytest.mark.parametrize("log_json", [True, False])
def test_a_stack_trace_has_no_values_in_it(capsys: pytest.CaptureFixture[str], log_json: bool) -> None:
    """Local variables hold what clients sent."""
    logs.configure(Settings(log_json=log_json))
    body = "hunter" + str(2)
    try:
        raise RuntimeError(str(len(body)))
    except RuntimeError:
        structlog.get_logger("service.test").exception("internal_error")
    text = capsys.readouterr().err
    assert "RuntimeError" in text
    assert "test_a_stack_trace_has_no_values_in_it" in text
    assert "hunter2" not in text


def test_the_level_is_for_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    """Libraries only speak up with warnings, whatever the level."""
    logs.configure(Settings(log_json=True, log_level="debug"))
    structlog.get_logger("service.test").debug("detail")
    logging.getLogger("some.library").info("chatter")
    assert [line["event"] for line in written(capsys)] == ["detail"]
