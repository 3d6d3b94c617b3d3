"""An upset: values far beyond everything so far, and what was usual before them.

Running scales have to grow when a stream really changes, within tens of samples, and may shrink only slowly: a quiet
night is not a new scale. So a sensor that went mad for a while leaves scales behind in which all that is normal looks
like nothing for tens of thousands of samples. But a stream that returns shows that it has returned: its values lie
where they lay before. What was usual is therefore kept when an upset begins, and taken up again when for some samples
on end all values lie within it. A stream that does not return may have changed: what was kept is kept, but the next
upset is one from what has become usual since, and then that is kept instead.

A pump that is switched on for an hour each day returns as well, and what it does while it runs is not madness. So a
stream has a few such returns to its credit, and gets new ones slowly. Without credit it takes longer to return, twice
as long each time, and where calm has been broken, twice as long as it lasted: where wild values come often, scales
follow them, until none has come for long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec, safe_divide
from liquid_core.learner.scaler import RELATIVE_FLOOR
from liquid_core.types import BoolArray, FloatArray, IntArray

#: What is kept, in this order: all running scales, and what is measured in them.
KEPT = (
    "scaler.mean",
    "scaler.variance",
    "scaler.change_square",
    "residual.square",
    "history.mean",
    "history.variance",
    "history.change_square",
    "history.slow",
    "guess.mean_error",
    "guess.last_error",
    "conformal.radius",
    "anomaly.square",
    "anomaly.recent",
    "anomaly.usual",
    "anomaly.level",
    "surge.recent",
    "surge.usual",
)
#: An upset begins with a value more than so many deviations from the mean, once so many values were seen.
WILD = 50.0
FIRST = 50
#: The stream has returned when in so many records on end no value was further out than this, as things were before.
CALM = 10.0
CALM_RECORDS = 16
#: When so many more records were rough than calm the stream may have changed, and another upset may begin.
LONGEST = 1000
#: Returns that a stream may have at once, and records after which it gets another one. Each that it has without takes
#: twice as many calm records as the one before; it may owe so many.
CREDIT = 3.0
REFILL = 1.0 / 20_000.0
MOST_OWED = 8.0
#: The most that a return can take.
MOST_CALM = CALM_RECORDS * 2 ** int(1 + MOST_OWED)


@dataclass(frozen=True, slots=True)
class Upset:
    """An upset from which the stream has not returned, or none.

    `age` `(batch,)` is by how many the rough records outnumber the calm ones since it began, at least one, and zero
    where there is none. `calm` `(batch,)` counts calm ones on end, and `broken` `(batch,)` is the most of them that a
    rough one has ended. `by_label` `(batch,)` says whether it began with a label: then labels are counted, and else
    samples. `credit` `(batch,)` are the returns left, and `kept` `(batch, numbers)` is what was usual before.
    """

    age: IntArray
    calm: IntArray
    broken: IntArray
    by_label: BoolArray
    credit: FloatArray
    kept: FloatArray

    @staticmethod
    def arrays(num_kept: int) -> dict[str, ArraySpec]:
        return {
            "age": ArraySpec(np.int64),
            "calm": ArraySpec(np.int64),
            "broken": ArraySpec(np.int64),
            "by_label": ArraySpec(np.bool_),
            "credit": ArraySpec(np.float64, (), CREDIT),
            "kept": ArraySpec(np.float64, (num_kept,)),
        }

    def usual(self, now: FloatArray) -> FloatArray:
        """What values are held against, `(batch, numbers)`: what was kept, and in no upset what is usual `now`."""
        return np.where(self.age[:, None] > 0, self.kept, now)

    @property
    def may_begin(self) -> BoolArray:
        """Where an upset may begin, `(batch,)`: there is none, or the stream may have changed since it began."""
        return np.asarray((self.age == 0) | (self.age > LONGEST))

    def judge(self, sample: Distance, label: Distance, now: FloatArray) -> tuple[Upset, BoolArray]:
        """Take in a record before anything else does.

        Parameters
        ----------
        sample, label
            How far out the farthest of the sample's values lies, and of the label's.
        now
            What is usual now, `(batch, numbers)`.

        Returns
        -------
        The upset after the record, and where the stream has returned, `(batch,)`: what was `kept` is usual again.
        """
        begins = self.may_begin & ((sample.now > WILD) | (label.now > WILD))
        by_label = np.where(begins, sample.now <= WILD, self.by_label)
        of_sample = np.where(begins, sample.now, sample.usual)
        of_label = np.where(begins, label.now, label.usual)
        counts = (np.where(by_label, of_label, of_sample) >= 0) & (begins | (self.age > 0))
        rough = (of_sample > CALM) | (of_label > CALM)
        age = np.where(self.age > 0, np.maximum(self.age + np.where(rough, counts, -1 * counts), 1), 0)
        age = np.where(begins, 1, age)
        calm = np.where(rough | (age == 0), 0, self.calm + counts)
        broken = np.where(begins | (age == 0), 0, np.where(rough, np.maximum(self.broken, self.calm), self.broken))
        returns = calm >= _needed(self.credit, broken)
        refilled = np.minimum(self.credit + REFILL * ((of_sample >= 0) | (of_label >= 0)), CREDIT)
        after = Upset(
            age=np.where(returns, 0, age),
            calm=np.where(returns, 0, calm),
            broken=np.where(returns, 0, broken),
            by_label=by_label,
            credit=np.where(returns, np.maximum(refilled - 1, -MOST_OWED), refilled),
            kept=np.where(begins[:, None], now, self.kept),
        )
        return after, returns


@dataclass(frozen=True, slots=True)
class Distance:
    """How far out a record lies, in deviations, `(batch,)`; negative where it has nothing.

    From the mean of what is `usual`, and of what is so `now`: in an upset these differ.
    """

    usual: FloatArray
    now: FloatArray


def _needed(credit: FloatArray, broken: IntArray) -> FloatArray:
    """Calm records that it takes to return, `(batch,)`."""
    owed = np.maximum(np.ceil(1.0 - credit), 0.0)
    return np.asarray(np.minimum(np.maximum(CALM_RECORDS * 2.0**owed, 2.0 * broken), MOST_CALM))


def farthest(
    values: FloatArray, seen: IntArray, mean: FloatArray, variance: FloatArray, arrived: BoolArray
) -> FloatArray:
    """How far the farthest of `values` `(batch, values)` lies from the mean, in deviations, `(batch,)`.

    Values that are missing do not count, nor those of which too few were `seen`, nor constants. Negative where that
    leaves none, or none `arrived` `(batch,)`.
    """
    deviation = np.sqrt(variance)
    known = ~np.isnan(values) & (seen >= FIRST) & (deviation > RELATIVE_FLOOR * np.abs(mean))
    distance = np.where(known, safe_divide(np.abs(values - mean), deviation), 0.0)
    return np.where(arrived & known.any(axis=1), distance.max(axis=1), -1.0)


def split(numbers: FloatArray, sizes: Sequence[int]) -> dict[str, FloatArray]:
    """What is kept, by name, each `(..., size)`, from `numbers` `(..., numbers)`."""
    return dict(zip(KEPT, np.split(numbers, np.cumsum(sizes)[:-1], axis=-1), strict=True))


def kept_sizes(arrays: Mapping[str, ArraySpec]) -> list[int]:
    """How many numbers each of `KEPT` has, from the arrays of a row by name."""
    return [math.prod(arrays[name].shape) for name in KEPT]


__all__ = ["KEPT", "Distance", "Upset", "farthest", "kept_sizes", "split"]
