"""Admission: requests that the server has no time for are refused before their bodies are read.

Everything here happens in one event loop, so what is too much shows in one number: how late the loop comes to what is
due. While it is late, fewer requests may be in progress at a time; while it is not, more. What waits elsewhere, for the
store or the engine, does not make the loop late and is bounded by the batcher.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.body_limit import INGEST_PATH
from service.api.seam import Services
from service.fairness import objection
from service.problems import Problem

#: The loop is late when it comes to what is due later than this.
LATE_S = 0.015
#: Requests that may be in progress however late the loop is, and however punctual.
FEWEST, MOST = 32, 4096
_FIRST = 256
_SHRINK, _GROW = 0.8, 1.1
RETRY_AFTER_S = 1.0


class Admission:
    """ASGI middleware that refuses with `Problem` ``overloaded`` or ``rate_limited``."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services
        self._metrics = services.metrics
        services.on_lag = self.adapt
        #: Requests in progress, by stream.
        self._by_stream: dict[str, int] = {}
        self._in_progress = 0
        self._reached = 0
        self._limit = float(_FIRST)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            return await self._app(scope, receive, send)  # whether the server lives is told however busy it is
        if self._services.is_full():
            raise _too_many_connections()
        if scope["path"] == INGEST_PATH:  # reads no faster than it is answered, and stays
            return await self._app(scope, receive, send)
        stream = _stream_of(scope["path"])
        self._enter(stream)
        try:
            await self._app(scope, receive, send)
        finally:
            self._leave(stream)
        return None

    def adapt(self, lag_s: float) -> None:
        """Move the limit by how late the loop was just now."""
        if lag_s > LATE_S:
            # From what there really was: a limit far above it would take long to come down to it.
            self._limit = max(FEWEST, min(self._limit, self._reached) * _SHRINK)
        elif self._reached >= self._limit / 2:
            self._limit = min(MOST, self._limit * _GROW)
        self._reached = self._in_progress
        self._metrics.admission_limit.set(int(self._limit))

    def _enter(self, stream: str) -> None:
        own = self._by_stream.get(stream, 0)
        code = objection(
            own=own,
            more=1,
            taken=self._in_progress,
            room=int(self._limit),
            sharers=len(self._by_stream) + (own == 0),
        )
        if code is not None:
            self._metrics.requests_refused.labels(reason=code).inc()
            raise Problem(code, _DETAILS[code], retry_after_s=RETRY_AFTER_S)
        self._by_stream[stream] = own + 1
        self._in_progress += 1
        self._reached = max(self._reached, self._in_progress)

    def _leave(self, stream: str) -> None:
        self._in_progress -= 1
        self._by_stream[stream] -= 1
        if not self._by_stream[stream]:
            del self._by_stream[stream]


_DETAILS = {
    "rate_limited": "too many requests for this stream are in progress; wait for answers, or send many samples in one.",
    "overloaded": "the server has more requests in progress than it has time for; try again.",
}


def _stream_of(path: str) -> str:
    """The id in ``/v1/streams/{id}...``, as far as it matters who shares; the path of what is no stream's."""
    parts = path.split("/", 4)
    return parts[3].partition(":")[0] if len(parts) > 3 else path


def _too_many_connections() -> Problem:
    return Problem("overloaded", "there are too many connections; try again.", retry_after_s=RETRY_AFTER_S)


__all__ = ["FEWEST", "MOST", "Admission"]
