"""The slab: all streams of one spec that are in memory, a row each."""

from __future__ import annotations

import numpy as np

from liquid_core.engine.layout import StateLayout
from liquid_core.errors import ShapeError
from liquid_core.types import ByteArray

INITIAL_CAPACITY = 16


class Slab:
    """Rows of streams, handed out as slots; it grows by doubling and uses freed slots again.

    Parameters
    ----------
    layout
        Of all rows.
    capacity
        Rows that there is room for at first, at least one.
    """

    def __init__(self, layout: StateLayout, capacity: int = INITIAL_CAPACITY) -> None:
        self.layout = layout
        self.rows: ByteArray = np.zeros((capacity, layout.row_bytes), dtype=np.uint8)
        self._free = list(range(capacity - 1, -1, -1))

    def __len__(self) -> int:
        return len(self.rows) - len(self._free)

    @property
    def num_bytes(self) -> int:
        """Memory of the slab, free slots included."""
        return int(self.rows.nbytes)

    def load(self, row: ByteArray) -> int:
        """Copy a stream's row in; return its slot."""
        self._check(row)
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self.rows[slot] = row
        return slot

    def read(self, slot: int) -> ByteArray:
        """A copy of a stream's row."""
        return np.array(self.rows[slot])

    def write(self, slot: int, row: ByteArray) -> None:
        """Put a row in the place of the one that a stream has."""
        self._check(row)
        self.rows[slot] = row

    def free(self, slot: int) -> None:
        """Give a slot back; its stream is no longer in memory."""
        self._free.append(slot)

    def _check(self, row: ByteArray) -> None:
        if row.shape != (self.layout.row_bytes,):
            raise ShapeError(
                f"`row` must hold {self.layout.row_bytes} bytes, as its spec's layout says: got {row.shape}."
            )

    def _grow(self) -> None:
        capacity = len(self.rows)
        grown = np.zeros((2 * capacity, self.layout.row_bytes), dtype=np.uint8)
        grown[:capacity] = self.rows
        self.rows = grown
        self._free = list(range(2 * capacity - 1, capacity - 1, -1))


__all__ = ["Slab"]
