"""Exponentially weighted mean and variance that start as plain averages.

The n-th value enters with weight ``max(1/n, rate)``: at first every value counts the same, later the old ones fade.
The recursion is West's (1979) incremental form; the variance is that of the weighted population.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec
from liquid_core.types import BoolArray, FloatArray, IntArray

#: A value counts no further than this many deviations from the mean, once so many values were seen.
MAX_DISTANCE = 10.0
SETTLED = 10


@dataclass(frozen=True, slots=True)
class Moments:
    """Running moments of some values, each `(batch, values)`."""

    count: IntArray
    mean: FloatArray
    variance: FloatArray

    @staticmethod
    def arrays(width: int) -> dict[str, ArraySpec]:
        return {
            "count": ArraySpec(np.int64, (width,)),
            "mean": ArraySpec(np.float64, (width,)),
            "variance": ArraySpec(np.float64, (width,)),
        }

    def update(self, values: FloatArray, observed: BoolArray, rate: float) -> Moments:
        """Take in `values` `(batch, values)` where `observed`."""
        count = self.count + observed
        weight = np.maximum(1.0 / np.maximum(count, 1), rate)
        delta = np.where(observed, values - self.mean, 0.0)
        mean = self.mean + weight * delta
        variance = np.where(observed, (1.0 - weight) * (self.variance + weight * delta * delta), self.variance)
        return Moments(count=count, mean=mean, variance=variance)

    def capped(self, values: FloatArray) -> FloatArray:
        """Values no further than `MAX_DISTANCE` deviations from the mean: an outlier may pull, but not tear.

        The cap grows with the deviation, so a level that really shifted is found within some tens of samples.
        """
        reach = MAX_DISTANCE * self.deviation()
        known = (self.count >= SETTLED) & (reach > 0)
        return np.where(known, np.clip(values, self.mean - reach, self.mean + reach), values)

    def deviation(self) -> FloatArray:
        """Standard deviation; zero while nothing but one value has been seen."""
        return np.sqrt(self.variance)


__all__ = ["Moments"]
