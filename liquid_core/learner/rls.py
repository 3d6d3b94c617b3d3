"""Recursive least squares with forgetting: how a linear map on given features is learned from every target exactly.

The state is the covariance of the weights' estimate, up to the noise: it says in which directions the features have
taught little so far, and the gain goes there. Three things keep it sound over any number of samples:

* it is stored and updated as one triangle, so it cannot lose its symmetry, which is what lets the textbook recursion
  blow up (Verhaegen 1989, "Round-off error propagation in four generally-applicable recursive least-squares schemes");
* no variance grows beyond what it began with: where a feature has said nothing for long, forgetting would raise its
  variance without end ("wind-up"); its row and column are then scaled back, which leaves the other directions alone
  and the matrix positive;
* it is float64, whatever the weights are: the smallest eigenvalue lies many orders below the largest.

References
----------
.. [1] L. Ljung and T. Söderström, "Theory and Practice of Recursive Identification", MIT Press 1983, ch. 2 and 5.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from liquid_core.learner.part import ArraySpec
from liquid_core.types import FloatArray, IntArray

#: Variance of every weight before the first sample, in units of the targets' scale: and never more than that.
PRIOR = 1.0
#: An error beyond this many scales moves the weights no further than this.
MAX_ERROR = 3.0


def arrays(num_groups: int, num_features: int) -> dict[str, ArraySpec]:
    """Upper triangles of the covariances, row after row, of `num_groups` maps."""
    return {"covariance": ArraySpec(np.float64, (num_groups, num_features * (num_features + 1) // 2))}


def initial(num_features: int) -> FloatArray:
    """The covariance before the first sample, `(triangle,)`."""
    rows, columns = _triangle(num_features)
    return np.where(rows == columns, PRIOR, 0.0)


def gain(
    covariance: FloatArray, features: FloatArray, forgetting: FloatArray | float, curvature: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """What an error is to be multiplied with, and the covariance after it.

    Parameters
    ----------
    covariance
        `(batch, groups, triangle)`.
    features
        `(batch, groups, features)`, float64.
    forgetting
        Weight of the past against the present sample, in (0, 1], `(batch, groups)` or the same for all.
    curvature
        Second derivative of the loss by the output, `(batch, groups)`: 1 for a squared error, less where a target tells
        less.

    Returns
    -------
    The gain, `(batch, groups, features)`, for an error in units of the output, and the covariance.
    """
    width = features.shape[2]
    rows, columns = _triangle(width)
    full = covariance[..., _square(width)]
    seen = (full * features[:, :, None, :]).sum(axis=3)
    power = forgetting / curvature + (features * seen).sum(axis=2)
    direction = seen / power[..., None]
    after = (covariance - direction[..., rows] * seen[..., columns]) * np.asarray(1.0 / forgetting)[..., None]
    # Comparisons with NaN are false. A variance that is not positive is round-off's: begin again.
    sound = (after[..., rows == columns] > 0).all(axis=2)[..., None]
    return np.where(sound, direction, 0.0), np.where(sound, _capped(after, width), initial(width))


def inflate(covariance: FloatArray, factor: FloatArray, num_features: int) -> FloatArray:
    """A covariance `(batch, groups, triangle)` that trusts what was learned less, by a `factor` `(batch,)`: as if most
    of the past had been forgotten.

    Its shape stays, but for variances that come to what they began with: what the features have never told apart is not
    torn apart either.
    """
    return _capped(covariance * factor[:, None, None], num_features)


def _capped(covariance: FloatArray, width: int) -> FloatArray:
    """Where a variance has grown beyond the prior, its row and its column are scaled back."""
    rows, columns = _triangle(width)
    variance = covariance[..., rows == columns]
    shrink = np.where(variance > PRIOR, np.sqrt(PRIOR / np.where(variance > PRIOR, variance, PRIOR)), 1.0)
    return np.asarray(covariance * shrink[..., rows] * shrink[..., columns])


def update(weights: FloatArray, gains: FloatArray, error: FloatArray) -> FloatArray:
    """Weights after an error.

    Parameters
    ----------
    weights
        `(batch, outputs, features)`.
    gains
        Of each output, `(batch, outputs, features)`.
    error
        Target less output, `(batch, outputs)`; zero where there is no target.
    """
    limited = np.clip(error, -MAX_ERROR, MAX_ERROR)
    return np.asarray(weights + limited[:, :, None] * gains, dtype=weights.dtype)


@lru_cache(maxsize=64)
def _triangle(size: int) -> tuple[IntArray, IntArray]:
    """Row and column of every entry of an upper triangle."""
    rows, columns = np.triu_indices(size)
    return rows, columns


@lru_cache(maxsize=64)
def _square(size: int) -> IntArray:
    """Where in the triangle every entry of the symmetric matrix stands, `(size, size)`."""
    places = np.zeros((size, size), dtype=np.int64)
    rows, columns = _triangle(size)
    places[rows, columns] = places[columns, rows] = np.arange(len(rows))
    return places


__all__ = ["MAX_ERROR", "PRIOR", "arrays", "gain", "inflate", "initial", "update"]
