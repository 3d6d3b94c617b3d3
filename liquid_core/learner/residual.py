"""What the network is asked for: not the target itself, but how far it lies from a naive guess, in typical distances.

A forecast is asked for the change since the last value, a regression for the distance from the running mean. A network
that outputs zero is then as good as the naive guess, and a target's level and unit do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec
from liquid_core.types import BoolArray, FloatArray, IntArray

#: A normalised target or error is cut off here: an outlier may pull, but not tear.
MAX_RESIDUAL = 10.0


@dataclass(frozen=True, slots=True)
class Residual:
    """Running mean square of some residuals, each `(batch, values)`.

    The mean of the residuals themselves is left alone: a trend is for the network to learn.
    """

    count: IntArray
    square: FloatArray

    @staticmethod
    def arrays(width: int) -> dict[str, ArraySpec]:
        return {"count": ArraySpec(np.int64, (width,)), "square": ArraySpec(np.float64, (width,))}

    def update(self, residuals: FloatArray, observed: BoolArray, rate: float) -> Residual:
        """Take in `residuals` `(batch, values)` where `observed`; large ones count as `MAX_RESIDUAL` scales.

        The cap grows with the scale, so a scale that really changed is found within a few tens of samples.
        """
        count = self.count + observed
        weight = np.maximum(1.0 / np.maximum(count, 1), rate)
        cap = np.where(self.square > 0, MAX_RESIDUAL * self.scale(), np.inf)
        capped = np.minimum(np.abs(np.where(observed, residuals, 0.0)), cap)
        square = np.where(observed, self.square + weight * (capped * capped - self.square), self.square)
        return Residual(count=count, square=square)

    def scale(self) -> FloatArray:
        """Root mean square residual, `(batch, values)`; zero before the first one."""
        return np.sqrt(self.square)


__all__ = ["MAX_RESIDUAL", "Residual"]
