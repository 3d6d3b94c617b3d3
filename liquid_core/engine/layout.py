"""Where everything that a stream is lies in its row.

One stream's whole state is one contiguous row of bytes, and a slab is many such rows. Loading, evicting and saving a
stream are therefore copies of bytes, and an engine reads and writes a row's arrays in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_core.learner.part import ArraySpec
from liquid_core.types import ByteArray

#: Every array starts at a multiple of this: a vector register's width, and a cache line.
ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Field:
    """One array of a row."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    initial: float

    @property
    def num_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


class StateLayout:
    """The fields of a row, in order.

    Parameters
    ----------
    arrays
        Name and kind of every array; names are ``part.array``.
    """

    def __init__(self, arrays: dict[str, ArraySpec]) -> None:
        fields: list[Field] = []
        offset = 0
        for name, array in arrays.items():
            field = Field(name, np.dtype(array.dtype), array.shape, offset, array.initial)
            fields.append(field)
            offset += -(-field.num_bytes // ALIGNMENT) * ALIGNMENT
        self.fields = tuple(fields)
        self.row_bytes = offset
        #: For each field where its bytes begin and end in a row.
        self.spans = tuple((field.offset, field.offset + field.num_bytes) for field in fields)

    def views(self, rows: ByteArray) -> dict[str, NDArray[Any]]:
        """Arrays ``(batch, *shape)`` that look into `rows` `(batch, row_bytes)`; writing to them writes the rows."""
        batch = rows.shape[0]
        return {
            field.name: np.ndarray(
                (batch, *field.shape),
                dtype=field.dtype,
                buffer=rows.data,
                offset=field.offset,
                strides=(rows.strides[0], *_strides(field)),
            )
            for field in self.fields
        }

    def initial_row(self) -> ByteArray:
        """A row of initial values, `(row_bytes,)`."""
        row = np.zeros((1, self.row_bytes), dtype=np.uint8)
        for name, view in self.views(row).items():
            view[...] = self.field(name).initial
        return row.reshape(-1)

    def field(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)


def _strides(field: Field) -> tuple[int, ...]:
    strides: list[int] = []
    step = field.dtype.itemsize
    for size in reversed(field.shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


__all__ = ["ALIGNMENT", "Field", "StateLayout"]
