"""Page-Hinkley test: has the level of a value changed, up or down?

It adds up how far the values lie from their own running mean, less a tolerance ``delta``; a sum that climbs more than
``threshold`` above its lowest point (or falls as far below its highest) is an alarm. After an alarm it starts anew.

References
----------
.. [1] E. S. Page, "Continuous inspection schemes", Biometrika 41 (1954), 100-115.
.. [2] D. V. Hinkley, "Inference about the change-point from cumulative sum tests", Biometrika 58 (1971), 509-523.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec
from liquid_core.spec import PageHinkleySpec
from liquid_core.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class PageHinkley:
    """State of the test, each `(batch,)`; which of its two sides may alarm is the spec's `mode`."""

    count: IntArray
    mean: FloatArray
    rise: FloatArray
    fall: FloatArray
    lowest_rise: FloatArray
    highest_fall: FloatArray

    @staticmethod
    def arrays(spec: PageHinkleySpec) -> dict[str, ArraySpec]:  # noqa: ARG004 - as every detector
        return {
            "count": ArraySpec(np.int64),
            "mean": ArraySpec(np.float64),
            "rise": ArraySpec(np.float64),
            "fall": ArraySpec(np.float64),
            "lowest_rise": ArraySpec(np.float64),
            "highest_fall": ArraySpec(np.float64),
        }

    def update(self, values: FloatArray, observed: BoolArray, spec: PageHinkleySpec) -> tuple[BoolArray, PageHinkley]:
        """Take in one value a stream, `(batch,)`, where `observed`; return who alarms, and the state after.

        A stream that alarms comes back in its initial state.
        """
        count = self.count + 1
        mean = self.mean + (values - self.mean) / count
        deviation = values - mean
        rise = spec.alpha * self.rise + deviation - spec.delta
        fall = spec.alpha * self.fall + deviation + spec.delta
        first = self.count == 0
        lowest = np.where(first, rise, np.minimum(rise, self.lowest_rise))
        # The first fall may lie below zero; the highest then starts from -1, as in river's implementation.
        highest = np.maximum(fall, np.where(first, -1.0, self.highest_fall))
        up = (rise - lowest > spec.threshold) & (spec.mode != "down")
        down = (highest - fall > spec.threshold) & (spec.mode != "up")
        alarm = observed & (count >= spec.min_samples) & (up | down)

        def settle(new: FloatArray | IntArray, old: FloatArray | IntArray) -> FloatArray:
            return np.where(alarm, 0, np.where(observed, new, old)).astype(old.dtype)

        return alarm, PageHinkley(
            count=np.where(alarm, 0, np.where(observed, count, self.count)),
            mean=settle(mean, self.mean),
            rise=settle(rise, self.rise),
            fall=settle(fall, self.fall),
            lowest_rise=settle(lowest, self.lowest_rise),
            highest_fall=settle(highest, self.highest_fall),
        )


__all__ = ["PageHinkley"]
