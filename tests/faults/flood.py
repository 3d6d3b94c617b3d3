"""A flood: one stream is sent to over many connections at once, without a pause, from a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE).search
_RETRY_AFTER = re.compile(rb"retry-after: [1-9]", re.IGNORECASE).search
_CONTEXT = multiprocessing.get_context("spawn")


@dataclass
class Outcome:
    """What became of the requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    #: Answers 429 and 503 that do not say when to come back.
    without_retry_after: int = 0
    #: Requests that got no answer.
    lost: int = 0


class Flood:
    """Runs from the beginning of a ``with`` block to its end; then `outcome` is there."""

    def __init__(self, url: str, stream_id: str, *, at_a_time: int) -> None:
        self._stop: Event = _CONTEXT.Event()
        self._out, out = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=_run, args=(url, stream_id, at_a_time, self._stop, out))
        self.outcome = Outcome()

    def __enter__(self) -> Self:
        self._process.start()
        self._out.recv()  # it flows
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        if error is None:
            self.outcome = self._out.recv()
        self._process.join()


def _run(url: str, stream_id: str, at_a_time: int, stop: Event, out: multiprocessing.connection.Connection) -> None:
    outcome = Outcome()

    async def flow() -> None:
        senders = [asyncio.create_task(_send(url, stream_id, stop, outcome)) for _ in range(at_a_time)]
        while sum(outcome.statuses.values()) < at_a_time:
            await asyncio.sleep(0.01)
        out.send("flows")
        await asyncio.wait(senders)

    asyncio.run(flow())
    out.send(outcome)


async def _send(url: str, stream_id: str, stop: Event, outcome: Outcome) -> None:
    parts = urlsplit(url)
    assert parts.hostname is not None
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        while not stop.is_set():
            body = f'{{"t": {time.monotonic():.9f}, "x": [1.0]}}'
            writer.write(
                f"POST /v1/streams/{stream_id}/samples HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH(head)
            assert length is not None
            await reader.readexactly(int(length[1]))
            status = int(head[9:12])
            outcome.statuses[status] += 1
            outcome.without_retry_after += status in (429, 503) and _RETRY_AFTER(head) is None
    except (OSError, asyncio.IncompleteReadError):
        outcome.lost += 1
    finally:
        writer.close()


__all__ = ["Flood"]
