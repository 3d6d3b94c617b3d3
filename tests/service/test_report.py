"""The tables that the commands print."""

from __future__ import annotations

from rich.console import Console

from liquidstream_client import ColdStream
from service.report import streams_table


def test_a_stream_that_is_not_in_memory_has_its_line() -> None:
    """With what is known of it, and no made-up numbers."""
    cold = ColdStream(id="pump-7", spec={"task": "forecast", "cell": {"kind": "ltc"}}, created_at=0.0)
    console = Console(width=100)
    with console.capture() as printed:
        console.print(streams_table([cold]))
    (line,) = [line for line in printed.get().splitlines() if "pump-7" in line]
    assert line.split() == ["pump-7", "forecast", "ltc", "not", "in", "memory"]
