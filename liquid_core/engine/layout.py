"""Where everything that a stream is lies in its row.

One stream's whole state is one contiguous row of bytes, and a slab is many such rows. Loading, evicting and saving a
stream are therefore copies of bytes, and an engine reads and writes a row's arrays in place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

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
    #: Bytes from one element to the next, along each axis.
    strides: tuple[int, ...]
    offset: int
    initial: float

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


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
            dtype = np.dtype(array.dtype)
            field = Field(name, dtype, array.shape, _strides(array.shape, dtype.itemsize), offset, array.initial)
            fields.append(field)
            offset += -(-field.num_bytes // ALIGNMENT) * ALIGNMENT
        self.fields = tuple(fields)
        self._by_name = {field.name: field for field in fields}
        self.row_bytes = offset
        #: For each field where its bytes begin and end in a row.
        self.spans = tuple((field.offset, field.offset + field.num_bytes) for field in fields)

    def views(self, rows: ByteArray) -> dict[str, NDArray[Any]]:
        """Arrays ``(batch, *shape)`` that look into `rows` `(batch, row_bytes)`; writing to them writes the rows."""
        return {field.name: _view(rows, field) for field in self.fields}

    def view(self, rows: ByteArray, name: str) -> NDArray[Any]:
        """The one of `views` that is called `name`, ``(batch, *shape)``."""
        return _view(rows, self._by_name[name])

    def initial_row(self) -> ByteArray:
        """A row of initial values, `(row_bytes,)`."""
        row = np.zeros((1, self.row_bytes), dtype=np.uint8)
        for field in self.fields:
            if field.initial:
                _view(row, field)[...] = field.initial
        return row.reshape(-1)

    def field(self, name: str) -> Field:
        return self._by_name[name]


_layouts: WeakValueDictionary[tuple[Any, ...], StateLayout] = WeakValueDictionary()


def layout_of(arrays: dict[str, ArraySpec]) -> StateLayout:
    """The layout of these arrays: one for all who have the same, as specs have that differ in a seed or a rate only.

    It takes far more memory than all else that an engine is made of, and time to work out.
    """
    key = tuple((name, np.dtype(array.dtype), array.shape, array.initial) for name, array in arrays.items())
    layout = _layouts.get(key)
    if layout is None:
        layout = _layouts[key] = StateLayout(arrays)
    return layout


class RowArrays(Mapping[str, NDArray[Any]]):
    """The arrays of one stream by name, each ``shape``, looking into its row `(row_bytes,)`.

    An array is made when it is asked for: a row has about a hundred, and most who look want three of them.
    """

    def __init__(self, layout: StateLayout, row: ByteArray) -> None:
        self._layout = layout
        self._rows = row[None]

    def __getitem__(self, name: str) -> NDArray[Any]:
        array: NDArray[Any] = self._layout.view(self._rows, name)[0]
        return array

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in self._layout.fields)

    def __len__(self) -> int:
        return len(self._layout.fields)


def _view(rows: ByteArray, field: Field) -> NDArray[Any]:
    return np.ndarray(
        (rows.shape[0], *field.shape),
        dtype=field.dtype,
        buffer=rows.data,
        offset=field.offset,
        strides=(rows.strides[0], *field.strides),
    )


def _strides(shape: tuple[int, ...], item_bytes: int) -> tuple[int, ...]:
    strides: list[int] = []
    step = item_bytes
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


__all__ = ["ALIGNMENT", "Field", "RowArrays", "StateLayout", "layout_of"]
