"""The stream's own clock: elapsed time in units of its typical gap.

A cell should not care whether a sensor reports every second or every hour, but it should see that a reading came three
gaps late. So Δt is measured in typical gaps: a running estimate of the median gap, moved up or down by a small fraction
with each sample (quantile tracking), which a long outage cannot drag away as it would a mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec
from liquid_core.types import FloatArray, IntArray

#: Longest elapsed time that a cell is shown, in typical gaps: beyond it, long is just long.
MAX_ELAPSED = 10.0
#: Smallest fraction by which the estimate of the typical gap moves.
MIN_RATE = 0.01


@dataclass(frozen=True, slots=True)
class Clock:
    """First and last time and typical gap in seconds, and samples seen, each `(batch,)`."""

    first_t: FloatArray
    last_t: FloatArray
    gap: FloatArray
    count: IntArray

    @staticmethod
    def arrays() -> dict[str, ArraySpec]:
        return {
            "first_t": ArraySpec(np.float64),
            "last_t": ArraySpec(np.float64),
            "gap": ArraySpec(np.float64),
            "count": ArraySpec(np.int64),
        }

    def tick(self, t: FloatArray) -> tuple[FloatArray, Clock]:
        """Elapsed time up to `t` `(batch,)` in typical gaps, within [0, `MAX_ELAPSED`], and the clock after it.

        The first sample has nothing behind it and counts as one typical gap.
        """
        dt = np.maximum(t - self.last_t, 0.0)
        moves = (self.count > 0) & (dt > 0)
        known = moves & (self.gap > 0)
        rate = np.maximum(1.0 / np.maximum(self.count, 1), MIN_RATE)
        # A gap within one move of the estimate is taken as it is: a regular stream has Δt = 1 exactly.
        near = np.abs(dt - self.gap) <= rate * self.gap
        moved = np.where(dt > self.gap, self.gap * (1.0 + rate), self.gap * (1.0 - rate))
        gap = np.where(known, np.where(near, dt, moved), np.where(moves, dt, self.gap))
        # Measured against the estimate from before this gap, where there was one.
        unit = np.where(self.gap > 0, self.gap, gap)
        elapsed = np.where(unit > 0, dt / np.where(unit > 0, unit, 1.0), 0.0)
        elapsed = np.where(self.count == 0, 1.0, np.minimum(elapsed, MAX_ELAPSED))
        last_t = np.where(self.count == 0, t, np.maximum(t, self.last_t))
        first_t = np.where(self.count == 0, t, self.first_t)
        return elapsed, Clock(first_t=first_t, last_t=last_t, gap=gap, count=self.count + 1)


__all__ = ["MAX_ELAPSED", "Clock"]
