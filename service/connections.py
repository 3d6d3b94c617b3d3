"""Connections: how many there may be, how long one may do nothing for itself, and refusals that cost next to nothing.

A request for which there is no time is refused as soon as its head is there. What uvicorn leaves open is closed: how
long a request's head may take to come, how long a client may leave its answers lying, and a problem as the answer to
bytes that are not HTTP. A connection that is overdue is cut: whoever does not read would not read a goodbye either.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from service import clock
from service.api.admission import refusal
from service.api.answering import PROBLEM_JSON
from service.api.body_limit import INGEST_PATH
from service.api.edge import HEADERS
from service.api.seam import Services
from service.api.turnstile import takes_time
from service.fairness import Objection
from service.problems import Problem
from service.security import key_ring, unauthorized

log = structlog.get_logger(__name__)

#: Connections beyond the limit that still hear why they are refused, and in which a health check finds its place.
SPARE = 64
#: How long a client may leave its answers lying, and a closed connection what it still has to take.
STALLED_S = 15.0
SWEEP_INTERVAL_S = 1.0
#: Of a request's line and headers.
MAX_HEAD_BYTES = 64 * 1024
#: A refused body that is read to its end, so that the connection can be used again.
_SMALL_BODY = 64 * 1024


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
        self._services: Services = self.config.app.state.services  # type: ignore[union-attr]
        self._ring = key_ring(self._services.settings.api_keys)
        self._is_refused = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.head_since = self.loop.time()
        if len(self.connections) > self._services.max_connections + SPARE:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._head_bytes = 0 if self.head_since is None else self._head_bytes + len(data)
        # The parser would collect a head, or a single header, without end.
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._end_with(Problem("malformed", f"the head of a request may have {MAX_HEAD_BYTES} bytes."))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.head_since = self.loop.time()

    def on_headers_complete(self) -> None:
        self.head_since = None
        if not self._refuse():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._is_refused:
            super().on_message_complete()
            return
        self._is_refused = False
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _refuse(self) -> bool:
        """Answer at once, where there is no time for the request: without a task, and without the app.

        A server that has twice as much to do as it can has to refuse as often as it answers, so what counts is how
        little a refusal takes.
        """
        path = self.url.decode("latin-1")
        if not takes_time(path) or path.startswith(INGEST_PATH) or self.parser.should_upgrade() or not self._rests():
            return False
        code = self._services.admission.objection(path)
        if code is None:
            return False
        self._is_refused = True
        # What is left of a body is read and dropped, but not for long.
        ends = not self.parser.should_keep_alive() or _large_body(self.headers)
        self.transport.write(_refusal(code if self._is_known() else None, ends))
        if ends:
            self.transport.close()
        return True

    def _is_known(self) -> bool:
        """Whether the request may hear how busy we are: who has no key of ours hears what the door would say."""
        keys = (value.decode("latin-1") for name, value in self.headers if name == b"authorization")
        known = not self._ring or self._ring.opens(next(keys, None))
        if not known:
            self._services.metrics.auth_failures.labels(reason="key").inc()
        return known

    def _rests(self) -> bool:
        """Nothing is in progress here: an answer now is the answer to what has just come."""
        return self.cycle is None or self.cycle.response_complete

    def awaits_nothing(self) -> bool:
        """No request is in progress, and no timer of uvicorn's runs: somebody sends empty lines."""
        return self._rests() and self.timeout_keep_alive_task is None

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stalled_since = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - a problem says it in our words
        self._end_with(Problem("malformed", "this is not HTTP as this server reads it."))

    def _end_with(self, problem: Problem) -> None:
        self.transport.write(_response(problem, ends=True))
        self.transport.close()


@lru_cache
def _refusal(code: Objection | None, ends: bool) -> bytes:
    return _response(unauthorized() if code is None else refusal(code), ends)


def _response(problem: Problem, ends: bool) -> bytes:
    """A whole response, as the app would give it, but for the id of the request, which has none."""
    body = msgspec.json.encode(problem.as_dict())
    lines = [
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}",
        f"Content-Type: {PROBLEM_JSON}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in HEADERS.items()),
    ]
    if problem.retry_after_s is not None:
        lines.append(f"Retry-After: {math.ceil(problem.retry_after_s)}")
    if problem.status == HTTPStatus.UNAUTHORIZED:
        lines.append("WWW-Authenticate: Bearer")
    if ends:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _large_body(headers: list[tuple[bytes, bytes]]) -> bool:
    lengths = [value for name, value in headers if name == b"content-length"]
    if not lengths:
        return any(name == b"transfer-encoding" for name, _ in headers)
    return not lengths[0].isdigit() or int(lengths[0]) > _SMALL_BODY


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
