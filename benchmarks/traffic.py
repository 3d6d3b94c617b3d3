"""Traffic for a server: samples over plain HTTP, on a schedule that does not wait for answers, or as fast as they come.

An open loop sends when a sample is due, whether or not the server keeps up, and counts its time from that moment: a
server that is slow cannot slow down those who measure it. The requests are made by hand, so that the caller needs less
of the machine than the server does.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from urllib.parse import urlsplit

import numpy as np

#: Connections that a caller has at a time; beyond them its samples wait, and their time runs.
MAX_CONNECTIONS = 512
#: Whoever has no answer by then has lost it.
ANSWER_TIMEOUT_S = 30.0

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE).search
_RETRY_AFTER = re.compile(rb"retry-after: [1-9]", re.IGNORECASE).search


@dataclass(slots=True)
class Tally:
    """What became of the samples of one group of streams."""

    #: Seconds from the moment when each answered sample was due.
    seconds: list[float] = field(default_factory=list)
    #: Other answers, by their status.
    refused: Counter[int] = field(default_factory=Counter)
    #: Refusals for want of room, 429 and 503, that do not say when to come back.
    without_retry_after: int = 0
    #: Requests without an answer.
    lost: int = 0

    @property
    def sent(self) -> int:
        return len(self.seconds) + sum(self.refused.values()) + self.lost

    def quantile_ms(self, quantile: float) -> float:
        """Of the answered samples; NaN where there is none."""
        return float(1e3 * np.quantile(self.seconds, quantile)) if self.seconds else float("nan")

    def add(self, seconds: float, reply: Reply | None) -> None:
        if reply is None:
            self.lost += 1
        elif reply.status == 200:
            self.seconds.append(seconds)
        else:
            self.refused[reply.status] += 1
            self.without_retry_after += reply.status in (429, 503) and not reply.retry_after


@dataclass(frozen=True, slots=True)
class Reply:
    """As much of an answer as is looked at."""

    status: int
    retry_after: bool


class Source:
    """The next sample of each of a group of streams, as a request."""

    def __init__(self, address: str, streams: Sequence[str]) -> None:
        self._heads = [
            f"POST /v1/streams/{stream}/samples HTTP/1.1\r\nHost: {address}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
            for stream in streams
        ]
        self._sent = 0

    def request(self) -> bytes:
        """The streams take turns; a stream's times ascend whatever becomes of the samples."""
        head = self._heads[self._sent % len(self._heads)]
        self._sent += 1
        body = f'{{"t": {perf_counter() + 1e-6 * self._sent:.9f}, "x": [{self._sent % 97}]}}'
        return f"{head}{len(body)}\r\n\r\n{body}".encode()


async def open_loop(address: str, streams: Sequence[str], per_second: float, seconds: float) -> Tally:
    """Send `per_second` samples of these streams, evenly, for so long; then wait for the last answers."""
    source, tally = Source(address, streams), Tally()
    under_way: set[asyncio.Task[None]] = set()
    async with _pool(address) as pool:

        async def send(due: float) -> None:
            reply = await pool.ask(source.request())
            tally.add(perf_counter() - due, reply)

        began = perf_counter()
        for number in range(round(per_second * seconds)):
            due = began + number / per_second
            if (early := due - perf_counter()) > 0:
                await asyncio.sleep(early)
            elif not number % 32:
                await asyncio.sleep(0)
            task = asyncio.create_task(send(due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(set(under_way))
    return tally


async def closed_loop(address: str, streams: Sequence[str], at_a_time: int, seconds: float) -> float:
    """Answers a second, with so many requests under way at any time."""
    source = Source(address, streams)
    answered = 0
    began = perf_counter()
    async with _pool(address) as pool:

        async def ask() -> None:
            nonlocal answered
            while perf_counter() - began < seconds:
                reply = await pool.ask(source.request())
                answered += reply is not None and reply.status == 200

        await asyncio.gather(*(ask() for _ in range(at_a_time)))
    return answered / (perf_counter() - began)


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._reply: asyncio.Future[Reply | None] | None = None
        self.is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self.is_open = False
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        self._received = b""
        self.is_open = b"connection: close" not in head.lower()
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(Reply(int(head[9:12]), _RETRY_AFTER(head) is not None))

    async def ask(self, request: bytes) -> Reply | None:
        assert self._transport is not None
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._reply

    def close(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()


class _Pool:
    """Connections that are free, and as many more as may be."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._free: deque[_Connection] = deque()
        self._all: set[_Connection] = set()
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)

    async def ask(self, request: bytes) -> Reply | None:
        """The answer, or `None` where there is none."""
        try:
            async with self._room, asyncio.timeout(ANSWER_TIMEOUT_S):
                connection = await self._take()
                try:
                    return await connection.ask(request)
                except BaseException:
                    connection.close()
                    raise
                finally:
                    self._put_back(connection)
        except (OSError, TimeoutError):
            return None

    async def _take(self) -> _Connection:
        while self._free:
            # The one that was used last: the others may rest until the server closes them.
            connection = self._free.pop()
            if connection.is_open:
                return connection
            self._all.discard(connection)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port)
        self._all.add(connection)
        return connection

    def _put_back(self, connection: _Connection) -> None:
        if connection.is_open:
            self._free.append(connection)
        else:
            connection.close()
            self._all.discard(connection)

    def close(self) -> None:
        for connection in self._all:
            connection.close()


@asynccontextmanager
async def _pool(address: str) -> AsyncIterator[_Pool]:
    parts = urlsplit(f"//{address}")
    pool = _Pool(parts.hostname or "", parts.port or 80)
    try:
        yield pool
    finally:
        pool.close()


__all__ = ["Reply", "Source", "Tally", "closed_loop", "open_loop"]
