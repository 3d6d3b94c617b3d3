"""Records: the only things that change a stream.

A stream is a fold over its records, so whatever shall change it, now or in a replay years later, must be one of these.
What is observed of a stream is a sample or a label: an engine steps these. Everything else that is done to it is a
control, which `liquid_core.control` applies to its row.

What a drift alarm changes is no record of its own: the step that raises it makes the change, and a replay raises it
again.
"""

from __future__ import annotations

from typing import TypeGuard

import msgspec

from liquid_core.spec import ModelSpec


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


class Reset(msgspec.Struct, frozen=True, tag="reset"):
    """Learning begins anew, as in a stream that has seen nothing; the numbers of its samples go on."""


class Freeze(msgspec.Struct, frozen=True, tag="freeze"):
    """From now on the stream predicts and measures, and no weight of it changes."""


class Unfreeze(msgspec.Struct, frozen=True, tag="unfreeze"):
    """The stream learns again, from the next record on."""


class Restore(msgspec.Struct, frozen=True, tag="restore"):
    """A whole state takes the place of the stream's own, and its spec that of the stream.

    The state is part of the record, so that the log alone is enough to get it again.
    """

    #: From `StreamState.to_bytes`.
    state: bytes
    #: True: the stream goes back to where it once was, and the numbers of its samples go on, for those that it has
    #: given are spent. False: it becomes what the state is, numbers included.
    keeps_numbers: bool
    #: Where the state comes from, for people.
    origin: str = ""


class SpecChange(msgspec.Struct, frozen=True, tag="spec_change"):
    """The stream goes on under another spec: with what it learned where that still fits, else anew."""

    spec: ModelSpec


Observation = Sample | Label
Control = Reset | Freeze | Unfreeze | Restore | SpecChange
Record = Observation | Control


def is_observation(record: Record) -> TypeGuard[Observation]:
    """Whether an engine steps it; else it is a control."""
    return isinstance(record, Sample | Label)


__all__ = [
    "Control",
    "Freeze",
    "Label",
    "Observation",
    "Record",
    "Reset",
    "Restore",
    "Sample",
    "SpecChange",
    "Unfreeze",
    "is_observation",
]
