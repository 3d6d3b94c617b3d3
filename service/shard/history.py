"""The recent past of streams that somebody looks at: for plots, not for truth.

Held in memory only and bounded: at most `MAX_STREAMS` streams, `MAX_POINTS` samples each, or fewer where these have
many values. Streams get a place as long as there is one; after that, those that are asked for push out those that were
not asked for the longest.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from service.messages import HistoryPoint, LabelValue

MAX_STREAMS = 128
MAX_POINTS = 512
#: Numbers in the points of one stream: a megabyte or so.
MAX_NUMBERS = 32_768


class HistoryBook:
    """Recent points by stream."""

    def __init__(self) -> None:
        self._points: OrderedDict[str, deque[HistoryPoint]] = OrderedDict()

    def sample(self, stream_id: str, point: HistoryPoint) -> None:
        """Add a sample and its answer, if the stream has a place."""
        points = self._points.get(stream_id)
        if points is None:
            if len(self._points) >= MAX_STREAMS:
                return
            points = self._points.setdefault(stream_id, deque(maxlen=MAX_POINTS))
        points.append(point)
        while len(points) > 1 and len(points) * _numbers_in(point) > MAX_NUMBERS:
            points.popleft()

    def label(self, stream_id: str, seq: int, y: LabelValue) -> None:
        """Add the label of an earlier sample."""
        points = self._points.get(stream_id)
        if points is None:
            return
        for index in range(len(points) - 1, -1, -1):
            if points[index].seq == seq:
                points[index] = points[index].labelled(y)
                return

    def read(self, stream_id: str, limit: int) -> list[HistoryPoint]:
        """The last `limit` points, oldest first; from now on the stream has a place."""
        if stream_id not in self._points:
            while len(self._points) >= MAX_STREAMS:
                self._points.popitem(last=False)
            self._points[stream_id] = deque(maxlen=MAX_POINTS)
        self._points.move_to_end(stream_id)
        points = self._points[stream_id]
        return list(points)[-limit:]

    def forget(self, stream_id: str) -> None:
        self._points.pop(stream_id, None)


def _numbers_in(point: HistoryPoint) -> int:
    """Numbers of a point; those of one stream have equally many."""
    return len(point.x) + sum(3 * len(made.y or ()) + len(made.probabilities or ()) for made in point.predictions)


__all__ = ["MAX_NUMBERS", "MAX_POINTS", "MAX_STREAMS", "HistoryBook"]
