"""Intervals that keep their coverage: each output's half-width is tracked online, in units of its residual scale.

A target outside its interval widens the next one a little, a target inside narrows it less, so that in the long run
the wanted fraction lies inside, whatever the distribution does (adaptive conformal inference, Gibbs and Candès 2021, in
the quantile-tracking form of Angelopoulos, Candès and Tibshirani 2023; here the steps are multiplicative, so the width
stays positive and needs no unit).
"""

from __future__ import annotations

import numpy as np

from liquid_core.learner.part import ArraySpec
from liquid_core.types import BoolArray, FloatArray

INITIAL_RADIUS = 2.0
#: Fraction by which a miss widens the interval, before the coverage correction.
STEP = 0.05
MIN_RADIUS, MAX_RADIUS = 1e-3, 1e3


def arrays(num_outputs: int) -> dict[str, ArraySpec]:
    return {"radius": ArraySpec(np.float64, (num_outputs,), INITIAL_RADIUS)}


def update(radius: FloatArray, missed: BoolArray, observed: BoolArray, coverage: float) -> FloatArray:
    """Radius `(batch, outputs)` after targets that `missed` their interval or not, where `observed`."""
    step = 1.0 + STEP * (missed - (1.0 - coverage))
    return np.where(observed, np.clip(radius * step, MIN_RADIUS, MAX_RADIUS), radius)


__all__ = ["INITIAL_RADIUS", "arrays", "update"]
