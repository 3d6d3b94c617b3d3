"""The slab: all streams of one spec that are in memory, a row each.

Rows are one array, so that an engine finds a stream by its slot. The array is a reservation of addresses that the
operating system fills with memory page by page, as rows are written; a freed row's pages go back to it at once. A slab
therefore takes what its streams take, however many there have been.
"""

from __future__ import annotations

import mmap
import sys
from contextlib import suppress

import numpy as np

from liquid_core.engine.layout import StateLayout
from liquid_core.errors import ShapeError, SlabFullError
from liquid_core.types import ByteArray

#: Rows that a slab has addresses for at first: most specs have few streams, and addresses are finite, too.
FIRST_ROWS = 64
#: Rows that a slab has addresses for if nothing else is asked for.
MAX_ROWS = 2**20

#: How pages are given back. Linux takes them at once; macOS when it needs them, and counts them until then.
_GIVE_BACK = mmap.MADV_DONTNEED if sys.platform == "linux" else getattr(mmap, "MADV_FREE", mmap.MADV_DONTNEED)


class Slab:
    """Rows of streams, handed out as slots; freed slots are used again.

    Parameters
    ----------
    layout
        What a row holds.
    max_rows
        Streams that it may have to hold. It is not all taken at once, and where the system has no such range of
        addresses it is as many as it has.
    """

    def __init__(self, layout: StateLayout, max_rows: int = MAX_ROWS) -> None:
        self.layout = layout
        self._max_rows = max_rows
        self._memory, self.rows = self._reserve(min(FIRST_ROWS, max_rows), more_than=0)
        #: Freed slots, the last one freed on top.
        self._free: list[int] = []
        #: Whether a slot holds a stream.
        self._taken = bytearray(len(self.rows))
        #: Slots from here on have never been used.
        self._end = 0

    def __len__(self) -> int:
        return self._end - len(self._free)

    @property
    def num_bytes(self) -> int:
        """Memory of its streams, but for what is lost at the edges of pages."""
        return len(self) * self.layout.row_bytes

    def load(self, row: ByteArray) -> int:
        """Copy a stream's row in; return its slot.

        `rows` is another array after a slab has grown: look at it anew.

        Raises
        ------
        SlabFullError
            It holds `max_rows` streams, or the system has no more addresses.
        """
        self._check(row)
        if not self._free and self._end == len(self.rows):
            self._grow()
        slot = self._free.pop() if self._free else self._end
        self.rows[slot] = row
        self._end = max(self._end, slot + 1)
        self._taken[slot] = True
        return slot

    def read(self, slot: int) -> ByteArray:
        """A copy of a stream's row."""
        return np.array(self.rows[slot])

    def write(self, slot: int, row: ByteArray) -> None:
        """Put a row in the place of the one that a stream has."""
        self._check(row)
        self.rows[slot] = row

    def free(self, slot: int) -> None:
        """Give a slot and its memory back; its stream is no longer in memory."""
        self._taken[slot] = False
        self._free.append(slot)
        self._give_back(slot)

    def _check(self, row: ByteArray) -> None:
        if row.shape != (self.layout.row_bytes,):
            raise ShapeError(
                f"`row` must hold {self.layout.row_bytes} bytes, as its spec's layout says: got {row.shape}."
            )

    def _give_back(self, slot: int) -> None:
        """Give the pages back that hold nothing but this row and other free ones."""
        row_bytes, page = self.layout.row_bytes, mmap.PAGESIZE
        first, last = slot * row_bytes // page, ((slot + 1) * row_bytes - 1) // page
        if self._is_taken_on(first):
            first += 1
        if last >= first and self._is_taken_on(last):
            last -= 1
        if last >= first:
            self._memory.madvise(_GIVE_BACK, first * page, (last - first + 1) * page)

    def _is_taken_on(self, page: int) -> bool:
        """Whether the row of any stream lies on a page."""
        row_bytes = self.layout.row_bytes
        first, last = page * mmap.PAGESIZE // row_bytes, ((page + 1) * mmap.PAGESIZE - 1) // row_bytes
        return any(self._taken[first : last + 1])

    def _grow(self) -> None:
        """Move the few rows of the first reservation into one that has room for as many as may come."""
        memory, rows = self._reserve(self._max_rows, more_than=len(self.rows))
        rows[: self._end] = self.rows
        self._memory, self.rows = memory, rows
        self._taken.extend(bytes(len(rows) - len(self._taken)))

    def _reserve(self, num_rows: int, *, more_than: int) -> tuple[mmap.mmap, ByteArray]:
        """Addresses for `num_rows` rows, or for as many as the system gives."""
        row_bytes = self.layout.row_bytes
        while num_rows > more_than:
            try:
                memory = mmap.mmap(-1, num_rows * row_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except (OSError, OverflowError):
                num_rows //= 2
                continue
            _refuse_huge_pages(memory)
            return memory, np.frombuffer(memory, dtype=np.uint8).reshape(num_rows, row_bytes)
        raise SlabFullError(
            f"the slab holds {more_than} streams of {row_bytes} bytes and can take no more; free some of them first."
        )


def _refuse_huge_pages(memory: mmap.mmap) -> None:
    """A huge page holds many streams, and would stay until the last of them has gone."""
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with suppress(OSError):  # a kernel that has none
            memory.madvise(mmap.MADV_NOHUGEPAGE)


__all__ = ["FIRST_ROWS", "MAX_ROWS", "Slab"]
