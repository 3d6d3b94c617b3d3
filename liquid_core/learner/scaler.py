"""What the cell sees of a sample: missing values filled in, every feature on its own running scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.moments import Moments
from liquid_core.learner.part import ArraySpec, safe_divide
from liquid_core.types import BoolArray, FloatArray, IntArray

#: A scaled feature is cut off here, so that one wild reading cannot saturate the cell.
MAX_SCALED = 5.0
#: A deviation below this fraction of the mean is rounding noise of a constant, not a scale.
RELATIVE_FLOOR = 1e-9


@dataclass(frozen=True, slots=True)
class Scaler:
    """Running moments and last value of every feature, each `(batch, features)`."""

    count: IntArray
    mean: FloatArray
    variance: FloatArray
    last: FloatArray

    @staticmethod
    def arrays(num_features: int) -> dict[str, ArraySpec]:
        return Moments.arrays(num_features) | {"last": ArraySpec(np.float64, (num_features,))}

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
        Inputs `(batch, 2 * features)`, scaled features then missing flags; the imputed values `(batch, features)`
        (last value where missing, zero before the first); and the scaler after the sample.
        """
        observed: BoolArray = ~np.isnan(x)
        values = np.where(observed, x, self.last)
        moments = Moments(self.count, self.mean, self.variance).update(values, observed, rate)
        deviation = moments.deviation()
        deviation = np.where(deviation > RELATIVE_FLOOR * np.abs(moments.mean), deviation, 0.0)
        scaled = np.clip(safe_divide(values - moments.mean, deviation), -MAX_SCALED, MAX_SCALED)
        scaled = np.where(moments.count > 0, scaled, 0.0)
        inputs = np.concatenate([scaled, ~observed], axis=1)
        return inputs, values, Scaler(moments.count, moments.mean, moments.variance, values)


__all__ = ["MAX_SCALED", "Scaler"]
