"""What the cell sees of a sample: missing values filled in, every feature on its own running scales.

A feature is shown three ways: its level, in running deviations from its running mean; its change since the last
sample, in units of its typical change; and whether it was missing. The change matters: most of what can be known of
the next value is in the last movement, and on a drifting level it drowns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.moments import Moments
from liquid_core.learner.part import ArraySpec, safe_divide
from liquid_core.learner.residual import Residual
from liquid_core.types import BoolArray, FloatArray, IntArray

#: Ways in which a feature is shown.
INPUTS_PER_FEATURE = 3
#: A scaled value is cut off here, so that one wild reading cannot saturate the cell.
MAX_SCALED = 5.0
#: A deviation below this fraction of the mean is rounding noise of a constant, not a scale.
RELATIVE_FLOOR = 1e-9


@dataclass(frozen=True, slots=True)
class Scaler:
    """Running moments of level and change, and the last value, of every feature, each `(batch, features)`."""

    count: IntArray
    mean: FloatArray
    variance: FloatArray
    change_count: IntArray
    change_square: FloatArray
    last: FloatArray

    @staticmethod
    def arrays(num_features: int) -> dict[str, ArraySpec]:
        width = (num_features,)
        return Moments.arrays(num_features) | {
            "change_count": ArraySpec(np.int64, width),
            "change_square": ArraySpec(np.float64, width),
            "last": ArraySpec(np.float64, width),
        }

    def take(self, x: FloatArray, rate: float) -> tuple[FloatArray, FloatArray, Scaler]:
        """Impute and scale one sample a stream.

        Parameters
        ----------
        x
            Values, `(batch, features)`; NaN where missing.
        rate
            Forgetting rate of the running moments.

        Returns
        -------
        Inputs `(batch, 3 * features)`: levels, changes, missing flags; the imputed values `(batch, features)`, which
        are the last ones where missing and zero before the first; and the scaler after the sample.
        """
        observed: BoolArray = ~np.isnan(x)
        values = np.where(observed, x, self.last)
        before = Moments(self.count, self.mean, self.variance)
        moments = before.update(before.capped(values), observed, rate)
        deviation = moments.deviation()
        deviation = np.where(deviation > RELATIVE_FLOOR * np.abs(moments.mean), deviation, 0.0)
        level = np.where(moments.count > 0, safe_divide(values - moments.mean, deviation), 0.0)

        moved = observed & (self.count > 0)
        change = np.where(moved, values - self.last, 0.0)
        changes = Residual.update(Residual(self.change_count, self.change_square), change, moved, rate)
        movement = safe_divide(change, changes.scale())

        shown = np.clip(np.concatenate([level, movement], axis=1), -MAX_SCALED, MAX_SCALED)
        scaler = Scaler(
            count=moments.count,
            mean=moments.mean,
            variance=moments.variance,
            change_count=changes.count,
            change_square=changes.square,
            last=values,
        )
        return np.concatenate([shown, ~observed], axis=1), values, scaler


__all__ = ["INPUTS_PER_FEATURE", "MAX_SCALED", "Scaler"]
