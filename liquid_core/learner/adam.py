"""Adam on packed weights, one step size for all, with a global-norm clip.

Kingma and Ba (2015), Algorithm 1, with the bias corrections kept as running products of beta rather than as powers of
the step number: products are exactly rounded, so the same updates give the same bits everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from liquid_core.learner.delay import learning_rate
from liquid_core.learner.part import ArraySpec
from liquid_core.spec import LearnerSpec
from liquid_core.types import FloatArray

#: No update moves a weight further than this: in these cells, weights are of the order of one.
MAX_STEP = 1.0


@dataclass(frozen=True, slots=True)
class Adam:
    """Moments of the gradient `(batch, params)`, and the products of beta so far `(batch,)`."""

    first: FloatArray
    second: FloatArray
    decay1: FloatArray
    decay2: FloatArray

    @staticmethod
    def arrays(num_params: int, real: DTypeLike) -> dict[str, ArraySpec]:
        return {
            "first": ArraySpec(real, (num_params,)),
            "second": ArraySpec(real, (num_params,)),
            "decay1": ArraySpec(np.float64, (), 1.0),
            "decay2": ArraySpec(np.float64, (), 1.0),
        }

    def update(self, gradient: FloatArray, spec: LearnerSpec, delay: FloatArray) -> tuple[FloatArray, Adam]:
        """The step to add to the weights, `(batch, params)`, after targets of that `delay` `(batch,)`, and the state
        after it."""
        real = gradient.dtype.type
        first = real(spec.beta1) * self.first + real(1 - spec.beta1) * gradient
        second = real(spec.beta2) * self.second + real(1 - spec.beta2) * gradient * gradient
        decay1, decay2 = self.decay1 * spec.beta1, self.decay2 * spec.beta2
        rate = (learning_rate(spec.learning_rate, delay) / (1.0 - decay1)).astype(real)[:, None]
        correction = (1.0 / np.sqrt(1.0 - decay2)).astype(real)[:, None]
        step = -rate * first / (np.sqrt(second) * correction + real(spec.epsilon))
        return np.clip(step, -MAX_STEP, MAX_STEP), Adam(first=first, second=second, decay1=decay1, decay2=decay2)


def clip_by_norm(gradient: FloatArray, limit: float) -> tuple[FloatArray, FloatArray]:
    """Gradient `(batch, params)` scaled down to a global norm of at most `limit`, and the norms before, `(batch,)`."""
    wide = gradient.astype(np.float64)
    norm = np.sqrt((wide * wide).sum(axis=1))
    factor = np.where(norm > limit, limit / np.where(norm > 0, norm, 1.0), 1.0)
    return (gradient * factor.astype(gradient.dtype)[:, None]).astype(gradient.dtype), norm


__all__ = ["Adam", "clip_by_norm"]
