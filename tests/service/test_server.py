"""The process: how uvicorn is set up, and a start that fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.app import create_app
from service.server import configuration, run
from service.settings import Settings


def test_connections_are_bounded(tmp_path: Path) -> None:
    """Message size, queue, pings, idle time and the time of a stop all have an end; nothing is compressed."""
    settings = Settings(data_dir=tmp_path, max_body_bytes=2048, shutdown_timeout_s=3)
    config = configuration(create_app(settings), settings)
    assert (config.ws_max_size, config.ws_max_queue, config.ws_per_message_deflate) == (2048, 32, False)
    assert (config.ws_ping_interval, config.ws_ping_timeout) == (20.0, 20.0)
    assert (config.timeout_keep_alive, config.timeout_graceful_shutdown) == (30, 3)
    assert (config.access_log, config.server_header, config.proxy_headers) == (False, False, False)
    assert config.workers == 1


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"data_dir": "/dev/null/data"}, "name another one"),
        ({"redis_url": "redis://127.0.0.1:1"}, "check that it runs"),
    ],
)
def test_a_start_that_fails_says_why_in_one_line(
    capfd: pytest.CaptureFixture[str], wrong: dict[str, str], advice: str
) -> None:
    """The operator reads what to mend, not a stack trace, and the exit code is 3."""
    with pytest.raises(SystemExit, match="3"):
        run(Settings(port=0, log_json=True, **wrong))
    events = [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()]
    (reason,) = [event for event in events if advice in event]
    assert "\n" not in reason
    assert not any("Traceback" in event for event in events)
