"""The process: how uvicorn is set up, and a start that fails."""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path

import pytest

from service.app import create_app
from service.server import Server, configuration, run
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


async def test_the_garbage_collector_leaves_alone_what_was_there_at_the_start(tmp_path: Path) -> None:
    """Hundreds of thousands of objects, which to go through takes longer than many a micro-batch; at the end it may."""
    settings = Settings(data_dir=tmp_path, port=0)
    server = Server(configuration(create_app(settings), settings))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    assert gc.get_freeze_count() > 100_000
    server.should_exit = True
    await serving
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"data_dir": "/dev/null/data"}, "name another one"),
        ({"redis_url": "redis://127.0.0.1:1"}, "check that it runs"),
        ({"engine": "native"}, "`native` was asked for, but"),
    ],
)
def test_a_start_that_fails_says_why_in_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str], advice: str
) -> None:
    """The operator reads what to mend, not a stack trace, and the exit code is 3."""
    monkeypatch.setenv("LIQUID_ISA", "z80")  # no processor that the kernels know
    with pytest.raises(SystemExit, match="3"):
        run(Settings(port=0, log_json=True, **wrong))
    events = [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()]
    (reason,) = [event for event in events if advice in event]
    assert "\n" not in reason
    assert not any("Traceback" in event for event in events)
