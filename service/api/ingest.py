"""`POST /v1/ingest`: samples and labels of any number of streams in one body, a line each, answered line by line.

The answers begin while the body is still coming. As on the WebSocket, a credit is taken before a line is looked at and
given back when its answer has been sent: so a client that does not read its answers is not read from either, and what
one ingest holds is bounded, however long its body is. The first `MAX_INFLIGHT` lines are read whether or not anybody
reads: a client that sends its whole body before it looks at the answers is safe with so many.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.api import decoding, examples, frames
from service.api.answering import NDJSON, problem_members
from service.api.body_limit import INGEST_PATH
from service.api.budget import Share
from service.api.frames import Hello
from service.api.lanes import Answer, Entry, Lanes, Refused
from service.api.lines import Lines
from service.api.openapi import gives, gives_lines, takes_lines
from service.api.seam import Host, Services, services_of
from service.api.stream_id import checked
from service.problems import Problem

router = APIRouter(tags=["samples"])

#: Lines without an answer.
MAX_INFLIGHT = 256
#: Whoever sends line after line can wait: a line stays so long in its lane for room before it is refused.
PATIENCE_S = 10.0
#: Answers that are there are sent together, up to about so much.
PIECE_BYTES = 64 * 1024
DRAIN_RETRY_AFTER_MS = 1000

_RESPONSES = gives({200: ("", [], {})}, problems=("overloaded", "body_too_large", "media_type", "too_slow"))
_RESPONSES[200] = gives_lines(
    "One line for each line, in their order: a `result`, or a `nack` with its problem.", examples.ANSWER_LINES
)


@router.post(
    INGEST_PATH,
    operation_id="ingest",
    summary="Send lines of samples and labels of many streams",
    response_class=Response,
    openapi_extra=takes_lines(examples.LINES),
    responses=_RESPONSES,
)
async def ingest(request: Request) -> Response:
    """Newline-delimited JSON in and out, streamed. Lines are the messages of the WebSocket; `"type": "sample"` may be
    left out.

    A line that is refused changes nothing, and the rest goes on. What ends the whole before its time is a last line of
    its own, a `nack` or, where the server stops, `drain`; lines without an answer were not taken. A client that does
    not read answers while it sends should not send more than 256 lines at a time.
    """
    services = services_of(request)
    host = services.working_host()
    decoding.check_media_type(request, NDJSON)
    services.check_sessions()
    return Ingest(services, host, request.state.request_id)


class Ingest(Response):
    """The answer that reads its own request."""

    def __init__(self, services: Services, host: Host, request_id: str) -> None:
        super().__init__(media_type=NDJSON)
        # It is not known, and its absence makes the answer a chunked one.
        del self.headers["content-length"]
        self._services = services
        self._request_id = request_id
        self._lanes = Lanes(host, request_id, patience_s=PATIENCE_S)
        self._credits = asyncio.Semaphore(MAX_INFLIGHT)
        self._bytes = Share(services.bytes_held, services.settings.max_body_bytes)
        #: Lines whose answers have not been sent, in the body's order.
        self._open: deque[_Line] = deque()
        #: There is something to do for `_serve`.
        self._wake = asyncio.Event()
        self._draining = self._gone = False
        self._over = asyncio.Event()

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        self._services.sessions.add(self)
        try:
            await self._serve(receive, send)
        finally:
            self._lanes.stop()
            await self._lanes.finish()
            self._bytes.close()
            self._services.sessions.discard(self)
            self._over.set()

    async def drain(self) -> None:
        """Read nothing more, answer what was taken, say so, and end."""
        self._draining = True
        self._wake.set()
        await self._over.wait()

    # --- in ----------------------------------------------------------------------------------------------------------

    async def _read(self, message: Message, receive: Receive) -> Problem | None:
        """Take the body's lines as they come; what ended it before its time, if something did."""
        lines = Lines(self._services.settings.max_line_bytes)
        while message["type"] == "http.request":
            for line in lines.feed(message.get("body", b"")):
                await self._take(line)
            if not message.get("more_body", False):
                for line in lines.end():
                    await self._take(line)
                return None
            try:
                message = await receive()
            except Problem as problem:
                return problem
        self._gone = True
        return None

    async def _take(self, text: bytes | None) -> None:
        await self._credits.acquire()
        line = _Line(len(text or b""))
        await self._bytes.take(line.size)
        self._open.append(line)
        stream, entry = self._entry(text)
        self._lanes.put(stream, entry, partial(self._answer, line))

    def _entry(self, text: bytes | None) -> tuple[str | None, Entry]:
        if text is None:
            limit = self._services.settings.max_line_bytes
            return None, Refused(None, Problem("body_too_large", f"a line may have {limit} bytes."))
        try:
            frame = frames.read(text)
            if isinstance(frame, Hello):
                raise Problem("invalid", "a line is a sample or a label; `hello` opens a session on the WebSocket.")
            return checked(frame.stream), frame
        except Problem as problem:
            try:
                stream, seq = frames.address(text)
            except ValueError:
                stream = seq = None
            return stream, Refused(seq, problem)

    # --- out ---------------------------------------------------------------------------------------------------------

    async def _answer(self, line: _Line, answer: Answer) -> None:
        line.answer = frames.line_of(answer)
        self._wake.set()

    async def _serve(self, receive: Receive, send: Send) -> None:
        # Until the answer begins, what is wrong with the whole has a status of its own, and a client that asks whether
        # to send its body at all is told to.
        first = await receive()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        reader = asyncio.create_task(self._read(first, receive))
        reader.add_done_callback(lambda _: self._wake.set())
        try:
            while (self._open or not reader.done()) and not self._gone:
                await self._wake.wait()
                self._wake.clear()
                if self._draining:
                    reader.cancel()
                while piece := self._answered():
                    await send({"type": "http.response.body", "body": b"".join(piece), "more_body": True})
            if not self._gone:
                await send({"type": "http.response.body", "body": self._last_line(reader), "more_body": False})
        finally:
            reader.cancel()

    def _answered(self) -> list[bytes]:
        """The next answers that are there, a piece's worth; their credits are given back."""
        piece: list[bytes] = []
        size = 0
        while self._open and size < PIECE_BYTES and (answer := self._open[0].answer) is not None:
            line = self._open.popleft()
            self._credits.release()
            self._bytes.give_back(line.size)
            piece.append(answer)
            size += len(answer)
        return piece

    def _last_line(self, reader: asyncio.Task[Problem | None]) -> bytes:
        if reader.cancelled():
            return frames.line_of({"type": "drain", "retry_after_ms": DRAIN_RETRY_AFTER_MS})
        problem = reader.result()
        if problem is None:
            return b""
        return frames.line_of(frames.nack(None, None, None, problem_members(problem, self._request_id)))


class _Line:
    """A line of the body, and its answer once it has one."""

    __slots__ = ("answer", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.answer: bytes | None = None


__all__ = ["MAX_INFLIGHT", "Ingest", "router"]
