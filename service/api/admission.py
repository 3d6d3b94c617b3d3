"""Admission: how many requests may be in progress, and who of those that come is refused before it is read.

Everything here happens in one event loop, so what is too much shows in one number: how late the loop comes to what is
due. While it stays late, fewer requests may be in progress at a time; while it is punctual, more. What waits elsewhere,
for the store or the engine, does not make the loop late and is bounded by the batcher.

A request goes through the loop about eight times, each time behind all others that are ready: so a loop that is late by
10 ms answers in 100, and where it is late for want of time, fewer requests at a time are not fewer a second. Refusals
make it late as well, and processes beside it: below `FEWEST` the limit would only take from those who are answered.
"""

from __future__ import annotations

from collections import deque

from service.fairness import Objection, objection
from service.metrics import Metrics
from service.problems import Problem

#: The loop is late when it has come later than this to what was due, so many times on end: once may be anything.
LATE_S = 0.005
LATE_TIMES = 4
#: It is punctual when as many times on end it was no later than its clock's grain: in between nothing changes.
PUNCTUAL_S = 0.001
#: Requests that may be in progress however late the loop is, and however punctual.
FEWEST, MOST = 48, 4096
#: How many may be where there is no want of time: many clients may well come at the same moment.
_FIRST = 256
_SHRINK, _GROW = 0.5, 1.1
RETRY_AFTER_S = 1.0

_DETAILS: dict[Objection, str] = {
    "rate_limited": "too many requests for this stream are in progress; wait for answers, or send many samples in one.",
    "overloaded": "the server has more requests in progress than it has time for; try again.",
}


class Admission:
    """Counts the requests in progress, by stream, against a limit that follows the event loop's lag."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._by_stream: dict[str, int] = {}
        self._in_progress = 0
        #: The most that were in progress since the limit last moved.
        self._reached = 0
        self._limit = float(_FIRST)
        self._lags_s: deque[float] = deque(maxlen=LATE_TIMES)

    def objection(self, path: str) -> Objection | None:
        """What speaks against a request for this path now, if anything does."""
        own = self._by_stream.get(_stream_of(path), 0)
        code = objection(
            own=own,
            more=1,
            taken=self._in_progress,
            room=int(self._limit),
            sharers=len(self._by_stream) + (own == 0),
        )
        if code is not None:
            self._metrics.requests_refused.labels(reason=code).inc()
        return code

    def enter(self, path: str) -> None:
        """A request for this path is in progress."""
        stream = _stream_of(path)
        self._by_stream[stream] = self._by_stream.get(stream, 0) + 1
        self._in_progress += 1
        self._reached = max(self._reached, self._in_progress)

    def leave(self, path: str) -> None:
        """It is not any more."""
        stream = _stream_of(path)
        self._in_progress -= 1
        self._by_stream[stream] -= 1
        if not self._by_stream[stream]:
            del self._by_stream[stream]

    def adapt(self, lag_s: float) -> None:
        """Move the limit by how late the loop was just now."""
        self._lags_s.append(lag_s)
        if len(self._lags_s) == LATE_TIMES:
            if min(self._lags_s) > LATE_S:
                # From what there really was: a limit far above it would take long to come down to it.
                self._limit = max(FEWEST, min(self._limit, self._reached) * _SHRINK)
            elif max(self._lags_s) <= PUNCTUAL_S and self._is_too_small():
                self._limit = min(MOST, self._limit * _GROW)
        self._reached = self._in_progress
        self._metrics.admission_limit.set(int(self._limit))

    def _is_too_small(self) -> bool:
        """Whether more may be needed: the limit is below what it began with, or half of it is used."""
        return self._limit < _FIRST or self._reached >= self._limit / 2


def refusal(code: Objection) -> Problem:
    """The problem that an objection comes to."""
    return Problem(code, _DETAILS[code], retry_after_s=RETRY_AFTER_S)


def _stream_of(path: str) -> str:
    """The id in ``/v1/streams/{id}...``, as far as it matters who shares; the path of what is no stream's."""
    parts = path.split("/", 4)
    return parts[3].partition(":")[0] if len(parts) > 3 else path


__all__ = ["FEWEST", "MOST", "RETRY_AFTER_S", "Admission", "refusal"]
