"""`/v1/ws`: samples and labels of any number of streams over one connection.

A credit is taken before a message is read and given back when its answer has been sent. So at most `MAX_INFLIGHT`
messages are in the server for one connection: a client that does not read its answers is no longer read from, and TCP
tells it so. Every stream that has something in flight has a lane, which hands over what has gathered, waits for the
answers, sends them, and so keeps a stream's answers in order while the streams do not wait for each other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketState

from service.api import frames
from service.api.answering import problem_members
from service.api.frames import Hello, LabelFrame, SampleFrame
from service.api.seam import Host, Services, services_of
from service.api.stream_id import checked
from service.messages import LabelResult, ProblemItem, SampleResult
from service.problems import Problem
from service.security import refuse_websocket

log = structlog.get_logger(__name__)
router = APIRouter()

#: Messages of one connection without an answer.
MAX_INFLIGHT = 256
#: Messages of one stream that are handed over at once.
MAX_RUN = 64
#: A client that takes nothing for so long is given up.
SEND_TIMEOUT_S = 10.0
DRAIN_RETRY_AFTER_MS = 1000

NORMAL, UNSUPPORTED, NOT_JSON, TOO_LARGE, FAILED, RESTART, TOO_SLOW = 1000, 1003, 1007, 1009, 1011, 1012, 1013


@dataclass(frozen=True, slots=True)
class _Refused:
    """In a lane, in place of a message that could not be read: its answer must not overtake those before it."""

    seq: int | None
    problem: Problem


Entry = SampleFrame | LabelFrame | _Refused


class _CloseWith(Exception):  # noqa: N818 - control flow within this module
    def __init__(self, code: int) -> None:
        self.code = code


@router.websocket("/v1/ws")
async def websocket(connection: WebSocket) -> None:
    """Open a session, unless the server is full, stopping, or does not speak what the client asks for."""
    services = services_of(connection)
    try:
        host = services.working_host()
        if len(services.sessions) >= services.settings.max_connections:
            raise Problem("overloaded", "there are too many connections; try again.", retry_after_s=1.0)
        offered = connection.scope.get("subprotocols", [])
        if offered and frames.SUBPROTOCOL not in offered:
            raise Problem("media_type", f"this server speaks the subprotocol {frames.SUBPROTOCOL}.")
    except Problem as problem:
        return await refuse_websocket(connection, problem)
    await connection.accept(frames.SUBPROTOCOL if offered else None)
    await Session(connection, services, host).run()
    return None


class Session:
    """One open connection."""

    def __init__(self, connection: WebSocket, services: Services, host: Host) -> None:
        self._connection = connection
        self._services = services
        self._host = host
        self._credits = asyncio.Semaphore(MAX_INFLIGHT)
        self._lanes: dict[str, deque[Entry]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()
        self._stop = asyncio.Event()
        self._over = asyncio.Event()
        self._gone = False
        self._received = services.metrics.ws_messages.labels(direction="in")
        self._sent = services.metrics.ws_messages.labels(direction="out")

    async def run(self) -> None:
        """Serve the connection until one of the sides ends it."""
        metrics = self._services.metrics
        self._services.sessions.add(self)
        metrics.ws_connections.inc()
        code = FAILED
        try:
            code = await self._serve()
            # What was taken is in the log or on its way there: it is answered, or at least finished.
            while self._workers:
                await asyncio.wait(self._workers)
            await self._close(code)
        except Exception as error:
            log.error("internal_error", exc_info=error)
            await self._close(code := FAILED)
        finally:
            self._services.sessions.discard(self)
            metrics.ws_connections.dec()
            metrics.ws_close.labels(code=str(code)).inc()
            self._over.set()

    async def drain(self) -> None:
        """Read nothing more, say so, answer what was taken, and close."""
        self._stop.set()
        await self._over.wait()

    # --- in ----------------------------------------------------------------------------------------------------------

    async def _serve(self) -> int:
        """Read until there is a reason to close; its code."""
        reader = asyncio.create_task(self._read())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({reader, stop}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                return reader.result()
            await self._send({"type": "drain", "retry_after_ms": DRAIN_RETRY_AFTER_MS})
            return RESTART
        finally:
            reader.cancel()
            stop.cancel()

    async def _read(self) -> int:
        try:
            while True:
                await self._credits.acquire()
                message = await self._connection.receive()
                if message["type"] == "websocket.disconnect":
                    self._gone = True
                    return int(message.get("code") or NORMAL)
                self._received.inc()
                text = message.get("text")
                if text is None:
                    return UNSUPPORTED
                await self._take(text.encode())
        except _CloseWith as close:
            return close.code

    async def _take(self, text: bytes) -> None:
        if len(text) > self._services.settings.max_body_bytes:
            raise _CloseWith(TOO_LARGE)
        stream: str | None = None
        try:
            frame = frames.read(text)
            if isinstance(frame, Hello):
                await self._welcome(frame)
                self._credits.release()
                return
            stream = frame.stream
            self._enqueue(checked(stream), frame)
        except Problem as problem:
            try:
                stream, seq = frames.address(text)
            except ValueError:
                raise _CloseWith(NOT_JSON) from None
            self._enqueue(stream, _Refused(seq, problem))

    async def _welcome(self, hello: Hello) -> None:
        if len(hello.resume) > frames.MAX_RESUME:
            raise Problem("too_many_items", f"`resume` names at most {frames.MAX_RESUME} streams.")
        last_seq = await self._host.last_seqs([checked(stream) for stream in hello.resume])
        await self._send(
            {
                "type": "welcome",
                "max_inflight": MAX_INFLIGHT,
                "max_message_bytes": self._services.settings.max_body_bytes,
                "last_seq": last_seq,
            }
        )

    # --- through -----------------------------------------------------------------------------------------------------

    def _enqueue(self, stream: str | None, entry: Entry) -> None:
        name = stream or ""
        if name in self._lanes:
            self._lanes[name].append(entry)
            return
        self._lanes[name] = deque([entry])
        worker = asyncio.create_task(self._work(name))
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def _work(self, stream: str) -> None:
        """Hand over and answer what is in a lane until it is empty."""
        lane = self._lanes[stream]
        try:
            while lane and not self._gone:
                run = [lane.popleft()]
                while lane and len(run) < MAX_RUN and type(lane[0]) is type(run[0]):
                    run.append(lane.popleft())
                for answer in await self._answers(stream, run):
                    await self._send(answer)
                    self._credits.release()
        finally:
            del self._lanes[stream]

    async def _answers(self, stream: str, run: list[Entry]) -> list[dict[str, Any]]:
        try:
            outcomes = await self._submit(stream, run)
        except Problem as problem:
            outcomes = [ProblemItem(problem=problem.as_dict())] * len(run)
        except Exception as error:
            log.error("internal_error", exc_info=error)
            bug = Problem("internal", "this is a bug; the server's log has more under this connection's id.")
            outcomes = [ProblemItem(problem=bug.as_dict())] * len(run)
        return [self._message(stream, entry, outcome) for entry, outcome in zip(run, outcomes, strict=True)]

    async def _submit(self, stream: str, run: list[Entry]) -> list[SampleResult | LabelResult | ProblemItem]:
        samples = [entry for entry in run if isinstance(entry, SampleFrame)]
        if samples:
            return list(await self._host.submit_samples(stream, samples))
        labels = [entry for entry in run if isinstance(entry, LabelFrame)]
        if labels:
            return list(await self._host.submit_labels(stream, labels))
        return [ProblemItem(problem=entry.problem.as_dict()) for entry in run if isinstance(entry, _Refused)]

    def _message(self, stream: str, entry: Entry, outcome: SampleResult | LabelResult | ProblemItem) -> dict[str, Any]:
        if isinstance(outcome, ProblemItem):
            members = problem_members(outcome.problem, self._connection.state.request_id)
            return frames.nack(entry, stream or None, entry.seq, members)
        return frames.result(stream, outcome)

    # --- out ---------------------------------------------------------------------------------------------------------

    async def _send(self, message: dict[str, Any]) -> None:
        if self._gone:
            return
        try:
            async with self._sending, asyncio.timeout(SEND_TIMEOUT_S):
                await self._connection.send_text(frames.text_of(message))
        except TimeoutError:
            log.info("websocket_too_slow")
            self._gone = True
            await self._close(TOO_SLOW, even_if_gone=True)
        except Exception:
            # The connection broke; the reader hears of it too.
            self._gone = True
        else:
            self._sent.inc()

    async def _close(self, code: int, *, even_if_gone: bool = False) -> None:
        if (self._gone and not even_if_gone) or self._connection.application_state is not WebSocketState.CONNECTED:
            return
        self._gone = True
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._connection.close(code)
        except Exception:
            log.debug("websocket_close_failed")


__all__ = ["MAX_INFLIGHT", "MAX_RUN", "Session", "router"]
