"""Admission: who of those that come is refused before it is read, because too many requests are in progress."""

from __future__ import annotations

from service import clock
from service.api.limit import Limit
from service.fairness import Objection, objection
from service.metrics import Metrics
from service.problems import Problem

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
        #: The most that were in progress since the last tick.
        self._reached = 0
        self._limit = Limit()

    def objection(self, path: str) -> Objection | None:
        """What speaks against a request for this path now, if anything does."""
        own = self._by_stream.get(_stream_of(path), 0)
        code = objection(
            own=own,
            more=1,
            taken=self._in_progress,
            room=self._limit.now,
            sharers=len(self._by_stream) + (own == 0),
        )
        if code is not None:
            self._metrics.requests_refused.labels(reason=code).inc()
        return code

    def enter(self, path: str) -> float:
        """A request for this path is in progress; since when, for `leave`."""
        stream = _stream_of(path)
        self._by_stream[stream] = self._by_stream.get(stream, 0) + 1
        self._in_progress += 1
        self._reached = max(self._reached, self._in_progress)
        return clock.now()

    def leave(self, path: str, since: float) -> None:
        """It is not any more."""
        stream = _stream_of(path)
        self._in_progress -= 1
        self._by_stream[stream] -= 1
        if not self._by_stream[stream]:
            del self._by_stream[stream]
        self._limit.answered(clock.now() - since)

    def adapt(self, interval_s: float, lag_s: float) -> None:
        """Move the limit: an interval has passed, and the loop came so late to its end."""
        self._limit.tick(interval_s, lag_s, self._reached)
        self._reached = self._in_progress
        self._metrics.admission_limit.set(self._limit.now)


def refusal(code: Objection) -> Problem:
    """The problem that an objection comes to."""
    return Problem(code, _DETAILS[code], retry_after_s=RETRY_AFTER_S)


def _stream_of(path: str) -> str:
    """The id in ``/v1/streams/{id}...``, as far as it matters who shares; the path of what is no stream's."""
    parts = path.split("/", 4)
    return parts[3].partition(":")[0] if len(parts) > 3 else path


__all__ = ["RETRY_AFTER_S", "Admission", "refusal"]
