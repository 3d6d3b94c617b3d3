"""From the chunks of a body to its lines, of which none may be too long."""

from __future__ import annotations

from collections.abc import Iterator


class Lines:
    """Cuts chunks into lines, wherever the network has cut them before; holds one unfinished line at most.

    >>> lines = Lines(max_bytes=8)
    >>> list(lines.feed(b"one\\ntw")), list(lines.feed(b"o\\nmuch too long\\n")), list(lines.end())
    ([b'one'], [b'two', None], [])
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._begun = bytearray()
        self._too_long = False

    def feed(self, chunk: bytes) -> Iterator[bytes | None]:
        """The lines that end in this chunk, without their ends; `None` stands for one that was too long."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._add(chunk[start:end])
            yield self._finish()
            start = end + 1
        self._add(chunk[start:])

    def end(self) -> Iterator[bytes | None]:
        """What is left when the body ends: the last line need not be closed."""
        if self._begun or self._too_long:
            yield self._finish()

    def _add(self, piece: bytes) -> None:
        self._too_long = self._too_long or len(self._begun) + len(piece) > self._max_bytes
        if self._too_long:
            self._begun.clear()
        else:
            self._begun += piece

    def _finish(self) -> bytes | None:
        line = None if self._too_long else bytes(self._begun)
        self._begun.clear()
        self._too_long = False
        return line


__all__ = ["Lines"]
