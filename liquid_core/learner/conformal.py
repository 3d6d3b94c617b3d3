"""Intervals that keep their coverage: each output's half-width is tracked online, in units of its residual scale.

A target outside its interval widens the next one a little, a target inside narrows it less, so that in the long run
the wanted fraction lies inside, whatever the distribution does (adaptive conformal inference, Gibbs and Candès 2021, in
the quantile-tracking form of Angelopoulos, Candès and Tibshirani 2023; here the steps are multiplicative, so the width
stays positive and needs no unit).
"""

from __future__ import annotations

import numpy as np

from liquid_core.learner.part import ArraySpec, safe_divide
from liquid_core.types import BoolArray, FloatArray

INITIAL_RADIUS = 2.0
#: Fraction by which a miss widens the interval, before the coverage correction.
STEP = 0.05
MIN_RADIUS, MAX_RADIUS = 1e-3, 1e3
#: Distance from the prediction, in half-widths, at which the anomaly score is one half.
HALF_ANOMALY = 3.0


def arrays(num_outputs: int) -> dict[str, ArraySpec]:
    return {"radius": ArraySpec(np.float64, (num_outputs,), INITIAL_RADIUS)}


def update(radius: FloatArray, missed: BoolArray, observed: BoolArray, coverage: float) -> FloatArray:
    """Radius `(batch, outputs)` after targets that `missed` their interval or not, where `observed`."""
    step = 1.0 + STEP * (missed - (1.0 - coverage))
    return np.where(observed, np.clip(radius * step, MIN_RADIUS, MAX_RADIUS), radius)


def anomaly(error: FloatArray, half_width: FloatArray, observed: BoolArray) -> FloatArray:
    """Score in [0, 1) of how unusual each stream's worst target is, `(batch,)`; -1 where none was observed.

    Its scale is the interval: 0.1 at its edge, 0.5 three half-widths out, 0.92 ten out.
    """
    distance = np.where(observed, safe_divide(np.abs(error), half_width), 0.0)
    worst = np.minimum(distance.max(axis=1), 1e6) / HALF_ANOMALY
    score = worst * worst / (1.0 + worst * worst)
    return np.where(observed.any(axis=1), score, -1.0)


__all__ = ["INITIAL_RADIUS", "anomaly", "arrays", "update"]
