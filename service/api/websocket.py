"""`/v1/ws`: samples and labels of any number of streams over one connection.

A credit is taken before a message is read and given back when its answer has been sent. So at most `MAX_INFLIGHT`
messages are in the server for one connection: a client that does not read its answers is no longer read from, and TCP
tells it so. Their bytes are counted too, for the connection and over all of them.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import structlog
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketState

from service.api import frames
from service.api.budget import Share
from service.api.frames import Hello
from service.api.lanes import Answer, Lanes, Refused
from service.api.seam import Host, Services, services_of
from service.api.stream_id import checked
from service.problems import Problem
from service.security import refuse_websocket

log = structlog.get_logger(__name__)
router = APIRouter()

#: Messages of one connection without an answer.
MAX_INFLIGHT = 256
#: A client that takes nothing for so long is given up.
SEND_TIMEOUT_S = 10.0
DRAIN_RETRY_AFTER_MS = 1000

NORMAL, UNSUPPORTED, NOT_JSON, TOO_LARGE, FAILED, RESTART, TOO_SLOW = 1000, 1003, 1007, 1009, 1011, 1012, 1013


class _CloseWith(Exception):  # noqa: N818 - control flow within this module
    def __init__(self, code: int) -> None:
        self.code = code


@router.websocket("/v1/ws")
async def websocket(connection: WebSocket) -> None:
    """Open a session, unless the server is full, stopping, or does not speak what the client asks for."""
    services = services_of(connection)
    try:
        host = services.working_host()
        services.check_sessions()
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
        #: Bytes of messages without an answer.
        self._bytes = Share(services.bytes_held, services.settings.max_body_bytes)
        self._lanes = Lanes(host, connection.state.request_id)
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
            if self._gone:
                self._lanes.stop()
            await self._lanes.finish()
            await self._close(code)
        except Exception as error:
            log.error("internal_error", exc_info=error)
            await self._close(code := FAILED)
        finally:
            self._bytes.close()
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
        size = len(text)
        if size > self._services.settings.max_body_bytes:
            raise _CloseWith(TOO_LARGE)
        await self._bytes.take(size)
        try:
            frame = frames.read(text)
            if isinstance(frame, Hello):
                await self._welcome(frame)
                self._release(size)
                return
            self._lanes.put(checked(frame.stream), frame, partial(self._answer, size))
        except Problem as problem:
            try:
                stream, seq = frames.address(text)
            except ValueError:
                self._release(size)
                raise _CloseWith(NOT_JSON) from None
            self._lanes.put(stream, Refused(seq, problem), partial(self._answer, size))

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

    # --- out ---------------------------------------------------------------------------------------------------------

    async def _answer(self, size: int, answer: Answer) -> None:
        """Send the answer to a message of `size` bytes, and make room for another."""
        await self._send(answer)
        self._release(size)

    def _release(self, size: int) -> None:
        self._credits.release()
        self._bytes.give_back(size)

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


__all__ = ["MAX_INFLIGHT", "Session", "router"]
