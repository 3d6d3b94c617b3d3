"""Recursive least squares, stepped along a series: each prediction is made before its target is learned from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.evaluation.series import Floats, Ints

FORGETTING = 0.9995
#: First variance of a weight, and the mean one that wind-up in flat stretches may bring it back to.
FIRST_VARIANCE = 1.0
#: An error longer than so many typical ones is cut to that.
CLIP = 3.0
_SPREAD_RATE = 0.005
_SPREAD_AFTER = 50


def online_least_squares(inputs: Floats, goals: Floats, known_from: Ints) -> Floats:
    """Predict `goals` from `inputs` by linear models that forget (Haykin, Adaptive Filter Theory, ch. 10).

    At each row, first all goals that became known are learned from, with the inputs of the rows at which they were
    predicted, then the row's own is predicted.

    Parameters
    ----------
    inputs
        `(n, groups, size)`: what each group of outputs is predicted from; finite.
    goals
        `(n, groups, outputs)`: by the row at which they are predicted; NaN where there is none.
    known_from
        `(n,)`: the row at which a row's goal is known; never where it is n or more.

    Returns
    -------
    predictions
        As `goals`.
    """
    n, groups, size = inputs.shape
    outputs = goals.shape[2]
    weights = np.zeros((groups, size, outputs))
    covariance = np.tile(np.eye(size) * FIRST_VARIANCE, (groups, 1, 1))
    spread, learned = np.zeros((groups, outputs)), np.zeros((groups, 1))
    predictions = np.empty_like(goals)
    order = np.argsort(known_from, kind="stable")
    due = known_from[order].tolist()
    has_goal: NDArray[np.bool_] = np.logical_not(np.isnan(goals))
    any_goal = np.asarray(has_goal.any(axis=(1, 2)))
    full = np.asarray(has_goal.all(axis=(1, 2)))
    pending = 0
    diagonal = np.arange(size)
    for row in range(n):
        while pending < n and due[pending] <= row:
            made = order[pending]
            pending += 1
            if not any_goal[made]:
                continue
            given = inputs[made]  # (groups, size)
            error = goals[made] - np.matmul(given[:, None, :], weights)[:, 0]  # (groups, outputs)
            if not full[made]:
                error = np.where(has_goal[made], error, 0.0)
            limit = np.where((learned > _SPREAD_AFTER) & (spread > 0), CLIP * np.sqrt(spread), np.inf)
            rate = np.maximum(_SPREAD_RATE, 1.0 / (learned + 1.0))
            spread = spread + rate * (np.minimum(np.abs(error), 2.0 * limit) ** 2 - spread)
            error = np.clip(error, -limit, limit)
            active = np.asarray(has_goal[made].any(axis=1))  # (groups,)
            learned = learned + active[:, None]
            swept = np.matmul(covariance, given[:, :, None])[:, :, 0]  # (groups, size)
            norm = FORGETTING + (given * swept).sum(axis=1, keepdims=True)
            gain, swept = swept / norm, swept / np.sqrt(norm)
            weights += gain[:, :, None] * error[:, None, :]
            # The product of a vector with itself: what is symmetric stays so to the bit.
            shrunk = (covariance - swept[:, :, None] * swept[:, None, :]) / FORGETTING
            mean_variance = shrunk[:, diagonal, diagonal].mean(axis=1)
            shrunk *= np.minimum(1.0, FIRST_VARIANCE / mean_variance)[:, None, None]
            covariance = shrunk if full[made] else np.where(active[:, None, None], shrunk, covariance)
        predictions[row] = np.matmul(inputs[row][:, None, :], weights)[:, 0]
    return predictions


__all__ = ["online_least_squares"]
