"""Ingest: lines in, lines out, over a real port with a client that reads while it sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.api.ingest import MAX_INFLIGHT
from service.problems import Problem
from service.server import Server

SPEC = {"task": "forecast", "features": ["x"]}
NDJSON = {"Content-Type": "application/x-ndjson"}


class Upload:
    """An ingest on its way: a chunked request that is still open, and its answer as far as it has come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._answered = b""
        self.head = ""

    async def send(self, *lines: dict[str, Any] | bytes) -> None:
        await self.send_bytes(b"".join(as_line(line) for line in lines))

    async def send_bytes(self, piece: bytes) -> None:
        self._writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await self._writer.drain()

    async def finish(self) -> None:
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def answer(self) -> dict[str, Any] | None:
        """The next line of the answer; `None` at its end."""
        if not self.head:
            self.head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        while b"\n" not in self._answered:
            size = int(await self._reader.readline(), 16)
            self._answered += (await self._reader.readexactly(size + 2))[:-2]
            if size == 0:
                return None
        line, _, self._answered = self._answered.partition(b"\n")
        return dict(json.loads(line))

    async def answers(self, count: int) -> list[dict[str, Any]]:
        return [answer for _ in range(count) if (answer := await self.answer())]


@asynccontextmanager
async def uploading(address: str) -> AsyncIterator[Upload]:
    name, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    head = f"POST /v1/ingest HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-ndjson\r\n"
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    try:
        yield Upload(reader, writer)
    finally:
        writer.close()


def as_line(line: dict[str, Any] | bytes) -> bytes:
    return (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n"


def sample(stream: str, t: float, **more: Any) -> dict[str, Any]:
    return {"stream": stream, "t": t, "x": [t], **more}


def told(answer: dict[str, Any] | None) -> tuple[Any, ...]:
    assert answer is not None
    if answer["type"] == "nack":
        return "nack", answer["stream"], answer["seq"], answer["problem"]["code"]
    return answer["type"], answer["for"], answer["stream"], answer["seq"]


@pytest.fixture
async def http(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{address}") as client:
        yield client


@pytest.fixture(autouse=True)
async def _streams(http: httpx.AsyncClient) -> None:
    """Streams a and b, with one feature each."""
    for name in ("a", "b"):
        (await http.put(f"/v1/streams/{name}", json=SPEC)).raise_for_status()


async def post(http: httpx.AsyncClient, body: bytes) -> list[tuple[Any, ...]]:
    answer = await http.post("/v1/ingest", content=body, headers=NDJSON)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    return [told(json.loads(line)) for line in answer.text.splitlines()]


async def test_every_line_is_answered_by_a_line_in_its_place(http: httpx.AsyncClient) -> None:
    """Whatever the streams, and whatever is wrong with some of them."""
    lines: list[dict[str, Any] | bytes] = [
        sample("a", 1.0, seq=1),
        {"type": "sample", **sample("b", 1.0)},
        b"{",
        {"type": "label", "stream": "a", "seq": 1, "y": 0.5},
        sample("a", 1.0, seq=2),
        sample("nobody", 1.0, seq=9),
        b"",
        sample("a b", 1.0),
        {"type": "hello"},
        sample("a", 2.0, seq=2),
    ]
    assert await post(http, b"".join(as_line(line) for line in lines)) == [
        ("result", "sample", "a", 1),
        ("result", "sample", "b", 1),
        ("nack", None, None, "malformed"),
        ("result", "label", "a", 1),
        ("nack", "a", 2, "late_sample"),
        ("nack", "nobody", 9, "stream_not_found"),
        ("nack", None, None, "malformed"),
        ("nack", "a b", None, "stream_id_invalid"),
        ("nack", None, None, "invalid"),
        ("result", "sample", "a", 2),
    ]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
async def test_the_last_line_need_not_be_closed(http: httpx.AsyncClient, end: bytes) -> None:
    """And Windows's ends of lines do no harm."""
    assert await post(http, as_line(sample("a", 1.0)) + json.dumps(sample("a", 2.0)).encode() + end) == [
        ("result", "sample", "a", 1),
        ("result", "sample", "a", 2),
    ]


async def test_nothing_in_nothing_out(http: httpx.AsyncClient) -> None:
    """An empty body has no line to answer."""
    assert await post(http, b"") == []


async def test_answers_come_while_the_body_is_open(address: str) -> None:
    """A line is answered when it has come, wherever the network cuts it."""
    async with uploading(address) as upload:
        await upload.send(sample("a", 1.0))
        assert told(await upload.answer()) == ("result", "sample", "a", 1)
        line = as_line(sample("a", 2.0))
        for byte in (line[:5], line[5:6], line[6:]):
            await upload.send_bytes(byte)
        assert told(await upload.answer()) == ("result", "sample", "a", 2)
        await upload.finish()
        assert await upload.answer() is None


async def test_a_window_of_lines_needs_no_reader(address: str, host) -> None:
    """So many lines are taken before the first answer is read; the rest is left alone until answers go out."""
    host.is_open.clear()
    count = MAX_INFLIGHT + 50
    async with uploading(address) as upload:
        await upload.send(*(sample("a" if number % 2 else "b", float(number)) for number in range(count)))
        await upload.finish()
        while {stream for stream, _ in host.submissions} != {"a", "b"}:
            await asyncio.sleep(0.005)
        host.is_open.set()
        assert len(await upload.answers(count)) == count
        assert await upload.answer() is None
    assert len(host.streams["a"].samples) + len(host.streams["b"].samples) == count


async def test_no_more_is_taken_than_the_window_holds(address: str, host, server: Server) -> None:
    """With no answer out, the lines behind the window stay in the connection, whose bytes are not even counted."""
    host.is_open.clear()
    held = server.config.app.state.services.bytes_held
    line = sample("a", 1.0)
    async with uploading(address) as upload:
        await upload.send(*[line] * (MAX_INFLIGHT + 200))
        while held.held < MAX_INFLIGHT * (len(as_line(line)) - 1):
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        assert held.held == MAX_INFLIGHT * (len(as_line(line)) - 1)
        host.is_open.set()
        await upload.answers(MAX_INFLIGHT + 200)
    assert held.held == 0


async def test_a_line_that_is_too_long_is_refused_and_the_rest_goes_on(http: httpx.AsyncClient, app: FastAPI) -> None:
    """Its bytes are dropped as they come."""
    limit = app.state.services.settings.max_line_bytes
    long = b" " * (limit - 1) + as_line(sample("a", 1.0))
    fits = json.dumps(sample("a", 2.0)).encode().ljust(limit) + b"\n"
    assert await post(http, long + fits + long[:-1]) == [
        ("nack", None, None, "body_too_large"),
        ("result", "sample", "a", 1),
        ("nack", None, None, "body_too_large"),
    ]


async def test_the_whole_is_bounded(http: httpx.AsyncClient, address: str, app: FastAPI) -> None:
    """A body that says that it is larger is not begun; one that does not say ends with a line that does."""
    services = app.state.services
    services.settings = services.settings.model_copy(update={"max_ingest_bytes": 4096})
    refused = await http.post("/v1/ingest", content=b" " * 5000, headers=NDJSON)
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    async with uploading(address) as upload:
        await upload.send(sample("a", 1.0))
        assert told(await upload.answer()) == ("result", "sample", "a", 1)
        await upload.send_bytes(b" " * 5000)
        assert told(await upload.answer()) == ("nack", None, None, "body_too_large")
        assert await upload.answer() is None


async def test_silence_ends_an_ingest(address: str, app: FastAPI) -> None:
    """A client that sends nothing more for a while does not keep its place."""
    services = app.state.services
    services.settings = services.settings.model_copy(update={"body_timeout_s": 0.05})
    async with uploading(address) as upload:
        await upload.send(sample("a", 1.0))
        assert told(await upload.answer()) == ("result", "sample", "a", 1)
        assert told(await upload.answer()) == ("nack", None, None, "too_slow")
        assert await upload.answer() is None


async def test_a_client_that_vanishes_leaves_what_it_was_told(address: str, host, server: Server) -> None:
    """What was handed over is finished, and nothing of the ingest stays behind."""
    services = server.config.app.state.services
    host.is_open.clear()
    async with uploading(address) as upload:
        await upload.send(*(sample("a", float(number)) for number in range(10)))
        while not host.submissions:
            await asyncio.sleep(0.005)
        assert len(services.sessions) == 1
    handed_over = host.submissions[0][1]
    host.is_open.set()
    while services.sessions:
        await asyncio.sleep(0.005)
    assert len(host.streams["a"].samples) == handed_over
    assert services.bytes_held.held == 0


async def test_a_stop_answers_what_was_taken_and_says_so(address: str, host, server: Server) -> None:
    """The last line is `drain`; what has no answer was not taken."""
    host.is_open.clear()
    async with uploading(address) as upload:
        await upload.send(sample("a", 1.0))
        while not host.submissions:
            await asyncio.sleep(0.005)
        server.should_exit = True
        while not server.config.app.state.services.draining:
            await asyncio.sleep(0.005)
        host.is_open.set()
        assert told(await upload.answer()) == ("result", "sample", "a", 1)
        assert await upload.answer() == {"type": "drain", "retry_after_ms": 1000}
        assert await upload.answer() is None


@pytest.mark.parametrize("code", ["overloaded", "rate_limited"])
async def test_a_line_waits_for_room(address: str, host, code: str) -> None:
    """Who sends line after line is held back instead of being refused."""
    host.failure = Problem(code, "later.", retry_after_s=0.01)
    async with uploading(address) as upload:
        await upload.send(sample("a", 1.0), sample("a", 2.0))
        while len(host.submissions) < 3:
            await asyncio.sleep(0.005)
        host.failure = None
        assert [told(answer) for answer in await upload.answers(2)] == [
            ("result", "sample", "a", 1),
            ("result", "sample", "a", 2),
        ]


async def test_room_is_not_waited_for_for_ever(http: httpx.AsyncClient, host, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while the line is refused, with the time to come back."""
    monkeypatch.setattr("service.api.ingest.PATIENCE_S", 0.05)
    host.failure = Problem("overloaded", "later.", retry_after_s=0.02)
    assert await post(http, as_line(sample("a", 1.0, seq=1))) == [("nack", "a", 1, "overloaded")]


async def test_another_problem_of_the_host_is_told_at_once(http: httpx.AsyncClient, host) -> None:
    """Nobody knows whether a failing store has taken it."""
    host.failure = Problem("store_unavailable", "away.", retry_after_s=1.0)
    lines = [sample("a", 1.0, seq=1), sample("a", 2.0, seq=2)]
    assert await post(http, b"".join(as_line(line) for line in lines)) == [
        ("nack", "a", 1, "store_unavailable"),
        ("nack", "a", 2, "store_unavailable"),
    ]


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}, {**NDJSON, "Content-Encoding": "gzip"}])
async def test_other_media_types_are_refused(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """Lines of JSON, and said so."""
    answer = await http.post("/v1/ingest", content=b"{}\n", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type")


async def test_ingests_are_sessions_and_bounded(http: httpx.AsyncClient, address: str, app: FastAPI) -> None:
    """Beyond `max_sessions` the server asks to come back later."""
    services = app.state.services
    services.settings = services.settings.model_copy(update={"max_sessions": 1})
    async with uploading(address) as upload:
        await upload.send(sample("a", 1.0))
        await upload.answer()
        refused = await http.post("/v1/ingest", content=b"", headers=NDJSON)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "overloaded", "1")


async def test_a_client_may_ask_before_it_sends(address: str) -> None:
    """`Expect: 100-continue`, as curl says it for large files, is answered before the answer begins."""
    name, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    body = as_line(sample("a", 1.0))
    head = f"POST /v1/ingest HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-ndjson\r\n"
    writer.write(f"{head}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    writer.write(body)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.close()
