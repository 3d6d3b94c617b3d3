"""What the network is asked for: not the target itself, but how far it lies from a naive guess, in units of that distance.

A forecast is asked for the change since the last value, a regression for the distance from the running mean. A network
that outputs zero is then as good as the naive guess, and a target's level and unit do not matter.
"""

from __future__ import annotations

import numpy as np

from liquid_core.learner.moments import Moments
from liquid_core.learner.part import ArraySpec, safe_divide
from liquid_core.types import BoolArray, FloatArray

#: A normalised target or error is cut off here: an outlier may pull, but not tear.
MAX_RESIDUAL = 10.0


class Residual:
    """Running mean square of the residuals of every output, `(batch, outputs)`.

    The mean of the residuals themselves is left alone: a trend is for the network to learn.
    """

    @staticmethod
    def arrays(num_outputs: int) -> dict[str, ArraySpec]:
        return Moments.arrays(num_outputs)

    @staticmethod
    def update(moments: Moments, residuals: FloatArray, observed: BoolArray, rate: float) -> Moments:
        """Take in `residuals` `(batch, outputs)` where `observed`; large ones count as `MAX_RESIDUAL` scales.

        The cap grows with the scale, so a scale that really changed is found within a few tens of samples.
        """
        scale = np.sqrt(moments.mean)
        cap = np.where(scale > 0, MAX_RESIDUAL * scale, np.inf)
        capped = np.minimum(np.abs(np.where(observed, residuals, 0.0)), cap)
        return moments.update(capped * capped, observed, rate)

    @staticmethod
    def scale(moments: Moments) -> FloatArray:
        """Root mean square residual, `(batch, outputs)`; zero before the first residual."""
        return np.sqrt(moments.mean)

    @staticmethod
    def normalise(residuals: FloatArray, scale: FloatArray) -> FloatArray:
        """Residuals in units of `scale`, cut off at `MAX_RESIDUAL`; zero where there is no scale yet."""
        return np.clip(safe_divide(residuals, scale), -MAX_RESIDUAL, MAX_RESIDUAL)


__all__ = ["MAX_RESIDUAL", "Residual"]
