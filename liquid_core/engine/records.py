"""Records: the only things that change a stream.

A stream is a fold over its records, so whatever shall change it, now or in a replay years later, must be one of these.
"""

from __future__ import annotations

import msgspec


class Sample(msgspec.Struct, frozen=True, tag="sample"):
    """One sample of a stream, with its label where that came along."""

    #: Number of the sample in its stream, from 1.
    seq: int
    #: Seconds since the epoch, or any other clock that only runs forward.
    t: float
    #: One value a feature; NaN where it is missing.
    x: tuple[float, ...]
    #: One value a target (classification: the class's index); `None` where no label came along.
    y: tuple[float, ...] | None = None


class Label(msgspec.Struct, frozen=True, tag="label"):
    """The label of an earlier sample."""

    #: `seq` of the sample that this label belongs to.
    seq: int
    y: tuple[float, ...]


Record = Sample | Label

__all__ = ["Label", "Record", "Sample"]
