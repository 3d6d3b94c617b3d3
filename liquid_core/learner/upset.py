"""An upset: values far beyond everything so far, and what was usual before them.

Running scales have to grow when a stream really changes, within tens of samples, and may shrink only slowly: a quiet
night is not a new scale. So a sensor that went mad for a while leaves scales behind in which all that is normal looks
like nothing for tens of thousands of samples. But a stream that returns shows that it has returned: its values lie
where they lay before. What was usual is therefore kept when an upset begins, and taken up again when for some samples
on end all values lie within it. A stream that does not return has changed, and what was kept is dropped.

A pump that is switched on for an hour each day returns as well, and what it does while it runs is not madness. So a
stream has a few such returns to its credit, and gets new ones slowly: where upsets come often, scales follow them.
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
#: It has passed when in so many records on end no value was further out than this, as things were before.
CALM = 10.0
CALM_RECORDS = 16
#: If it has not passed after so many records, the stream has changed.
LONGEST = 1000
#: Returns that a stream may have at once, and records after which it gets another one.
CREDIT = 3.0
REFILL = 1.0 / 20_000.0


@dataclass(frozen=True, slots=True)
class Upset:
    """An upset under way, or none.

    `age` and `calm` `(batch,)` count records since it began, none of them where there is none, and those on end without
    a wild value; `by_label` `(batch,)` says whether it began with a label: then labels are counted, and else samples.
    `credit` `(batch,)` are the returns left, and `kept` `(batch, numbers)` is what was usual before.
    """

    age: IntArray
    calm: IntArray
    by_label: BoolArray
    credit: FloatArray
    kept: FloatArray

    @staticmethod
    def arrays(num_kept: int) -> dict[str, ArraySpec]:
        return {
            "age": ArraySpec(np.int64),
            "calm": ArraySpec(np.int64),
            "by_label": ArraySpec(np.bool_),
            "credit": ArraySpec(np.float64, (), CREDIT),
            "kept": ArraySpec(np.float64, (num_kept,)),
        }

    def usual(self, now: FloatArray) -> FloatArray:
        """What values are held against, `(batch, numbers)`: what was kept, and in no upset what is usual `now`."""
        return np.where(self.age[:, None] > 0, self.kept, now)

    def judge(self, sample: FloatArray, label: FloatArray, now: FloatArray) -> tuple[Upset, BoolArray]:
        """Take in a record before anything else does.

        Parameters
        ----------
        sample, label
            How far the farthest of the sample's values, and of the label's, lies from the `usual` mean, in deviations,
            `(batch,)`; negative where there is none.
        now
            What is usual now, `(batch, numbers)`.

        Returns
        -------
        The upset after the record, and where the stream has returned, `(batch,)`: what was `kept` is usual again.
        """
        begins = (self.age == 0) & ((sample > WILD) | (label > WILD))
        by_label = np.where(begins, sample <= WILD, self.by_label)
        counts = (np.where(by_label, label, sample) >= 0) & (begins | (self.age > 0))
        rough = (sample > CALM) | (label > CALM)
        age = self.age + counts
        calm = np.where(rough, 0, self.calm + counts)
        passed = calm >= CALM_RECORDS
        returns = passed & (self.credit >= 1)
        over = passed | (age > LONGEST)
        refilled = np.minimum(self.credit + REFILL * ((sample >= 0) | (label >= 0)), CREDIT)
        after = Upset(
            age=np.where(over, 0, age),
            calm=np.where(over | (age == 0), 0, calm),
            by_label=by_label,
            credit=np.where(returns, refilled - 1, refilled),
            kept=np.where(begins[:, None], now, self.kept),
        )
        return after, returns


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


__all__ = ["KEPT", "Upset", "farthest", "kept_sizes", "split"]
