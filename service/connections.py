"""Connections: how many there may be, and for how long one may do nothing for itself.

uvicorn bounds neither how long a request's head takes to come nor how long a client leaves its answers lying, and what
it says to bytes that are not HTTP is not a problem. A connection that is overdue is cut: whoever does not read would
not read a goodbye either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import msgspec
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from service import clock
from service.api.answering import PROBLEM_JSON
from service.api.seam import Services
from service.problems import Problem

log = structlog.get_logger(__name__)

#: Connections beyond the limit that still hear why they are refused, and in which a health check finds its place.
SPARE = 64
#: How long a client may leave its answers lying, and a closed connection what it still has to take.
STALLED_S = 15.0
SWEEP_INTERVAL_S = 1.0


class HttpConnection(HttpToolsProtocol):
    """A connection that speaks HTTP."""

    #: Since when the head of a request is awaited, and since when the client has not taken what was sent.
    head_since: float | None = None
    stalled_since: float | None = None
    closing_since: float | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # uvicorn takes it that whoever has a handler wants its lines, with paths as they come. Ours are the edge's.
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.head_since = self.loop.time()
        if len(self.connections) > self.config.app.state.services.max_connections + SPARE:  # type: ignore[union-attr]
            transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.head_since = self.loop.time()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.head_since = None

    def awaits_nothing(self) -> bool:
        """No request is in progress, and no timer of uvicorn's runs: somebody sends empty lines."""
        return (self.cycle is None or self.cycle.response_complete) and self.timeout_keep_alive_task is None

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stalled_since = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - a problem says it in our words
        problem = Problem("malformed", "this is not HTTP as this server reads it.")
        body = msgspec.json.encode(problem.as_dict())
        head = (
            f"HTTP/1.1 400 Bad Request\r\nContent-Type: {PROBLEM_JSON}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A connection that has become a WebSocket."""

    head_since: float | None = None
    stalled_since: float | None = None
    closing_since: float | None = None

    def awaits_nothing(self) -> bool:
        """Its pings go on."""
        return False

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stalled_since = None


Connection = HttpConnection | WebSocketConnection


async def sweep(connections: Collection[Any], services: Services) -> None:
    """Cut what is overdue, for ever."""
    while True:
        await asyncio.sleep(SWEEP_INTERVAL_S)
        for connection in list(connections):
            reason = overdue(connection, clock.now(), services.settings.head_timeout_s)
            if reason is not None:
                services.metrics.connections_cut.labels(reason=reason).inc()
                log.info("connection_cut", reason=reason)
                connection.transport.abort()


def overdue(connection: Connection, now: float, head_timeout_s: float) -> str | None:
    """Why a connection is to be cut, if it is."""
    if connection.transport.is_closing() and connection.closing_since is None:
        connection.closing_since = now
    if connection.head_since is None and connection.awaits_nothing():
        connection.head_since = now
    for since, longest, reason in (
        (connection.head_since, head_timeout_s, "head"),
        (connection.stalled_since, STALLED_S, "stalled"),
        (connection.closing_since, STALLED_S, "closing"),
    ):
        if since is not None and now - since > longest:
            return reason
    return None


__all__ = ["SPARE", "STALLED_S", "HttpConnection", "WebSocketConnection", "overdue", "sweep"]
