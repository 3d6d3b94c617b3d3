"""The recent past of streams that somebody looks at: for plots, not for truth.

Held in memory only and bounded: at most `MAX_STREAMS` streams, `MAX_POINTS` samples each, or fewer where these have
many values. Streams get a place as long as there is one; after that, those that are asked for push out those that were
not asked for the longest.

Points are kept as bytes: a fifth of the memory, and nothing in it that the garbage collector would have to go through
again and again while all streams wait.
"""

from __future__ import annotations

from collections import OrderedDict, deque

import msgspec

from service.messages import HistoryPoint, LabelValue

MAX_STREAMS = 128
MAX_POINTS = 512
#: Memory for the points of one stream.
MAX_BYTES = 256 * 1024

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(HistoryPoint).decode


class HistoryBook:
    """Recent points by stream."""

    def __init__(self) -> None:
        #: For each stream its points, as `seq` and bytes.
        self._points: OrderedDict[str, deque[tuple[int, bytes]]] = OrderedDict()

    def has_place(self, stream_id: str) -> bool:
        """Whether a sample of this stream would be kept; if not, nobody need make its point."""
        return stream_id in self._points or len(self._points) < MAX_STREAMS

    def sample(self, stream_id: str, point: HistoryPoint) -> None:
        """Add a sample and its answer, if the stream has a place."""
        points = self._points.get(stream_id)
        if points is None:
            if not self.has_place(stream_id):
                return
            points = self._points.setdefault(stream_id, deque(maxlen=MAX_POINTS))
        encoded = _encode(point)
        points.append((point.seq, encoded))
        # Points of one stream are of about one size.
        while len(points) > 1 and len(points) * len(encoded) > MAX_BYTES:
            points.popleft()

    def label(self, stream_id: str, seq: int, y: LabelValue) -> None:
        """Add the label of an earlier sample."""
        points = self._points.get(stream_id)
        if points is None:
            return
        for index in range(len(points) - 1, -1, -1):
            if points[index][0] == seq:
                points[index] = seq, _encode(_decode(points[index][1]).labelled(y))
                return

    def read(self, stream_id: str, limit: int) -> list[HistoryPoint]:
        """The last `limit` points, oldest first; from now on the stream has a place."""
        if stream_id not in self._points:
            while len(self._points) >= MAX_STREAMS:
                self._points.popitem(last=False)
            self._points[stream_id] = deque(maxlen=MAX_POINTS)
        self._points.move_to_end(stream_id)
        return [_decode(encoded) for _, encoded in list(self._points[stream_id])[-limit:]]

    def forget(self, stream_id: str) -> None:
        self._points.pop(stream_id, None)

    def clear(self) -> None:
        self._points.clear()


__all__ = ["MAX_BYTES", "MAX_POINTS", "MAX_STREAMS", "HistoryBook"]
