"""Settling: a target has arrived, and the predictions that were waiting for it are held against it.

Nothing here looks at the network: what counts is the answer that was given when the target was not yet known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.anomaly import class_distance, interval_distance
from liquid_core.learner.part import safe_divide
from liquid_core.learner.residual import MAX_RESIDUAL
from liquid_core.types import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class Pending:
    """Answers that waited for a target, each `(batch, outputs)`; outputs run over horizons, then targets."""

    #: The naive guess.
    base: FloatArray
    scale: FloatArray
    prediction: FloatArray
    half_width: FloatArray


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of them."""

    #: Which outputs got their target, `(batch, outputs)`, and the target in the network's terms.
    known: BoolArray
    target: FloatArray
    #: Distance of the target from the naive guess, `(batch, outputs)`, and the same in residual scales, within limits:
    #: what the experts should have said.
    residual: FloatArray
    wanted: FloatArray
    #: Those of them whose answer had a scale, `(batch, outputs)`: without one, there was no interval to miss, and the
    #: target cannot be said in the network's terms.
    scaled: BoolArray
    #: Targets that lay outside their interval, `(batch, outputs)`.
    missed: BoolArray
    #: Error of the answer and of the naive guess by horizon, `(batch, horizons)`, and where there is one.
    error: FloatArray
    naive_error: FloatArray
    observed: BoolArray
    #: Error in residual scales at the shortest horizon that was observed, for the drift detector; -1 where none was.
    surprise: FloatArray
    #: The naive guess's error there, likewise.
    naive_surprise: FloatArray
    #: How far the worst target lay from its answer, in half-widths or by odds, for the anomaly score; -1 where there
    #: is none.
    distance: FloatArray


def settle_values(pending: Pending, truth: FloatArray, known: BoolArray, num_horizons: int) -> Settled:
    """Settle forecasts or regressions with `truth` `(batch, outputs)` where `known`."""
    truth = np.where(known, truth, pending.prediction)
    error = np.where(known, truth - pending.prediction, 0.0)
    residual = np.where(known, truth - pending.base, 0.0)
    distance, naive_distance = (
        np.minimum(safe_divide(np.abs(error), pending.scale), MAX_RESIDUAL) for error in (error, residual)
    )
    by_horizon = _MeanByHorizon(known, num_horizons)
    observed = by_horizon.observed
    scaled = known & (pending.scale > 0)
    wanted = np.clip(safe_divide(residual, pending.scale), -MAX_RESIDUAL, MAX_RESIDUAL)
    return Settled(
        known=known,
        target=wanted,
        residual=residual,
        wanted=wanted,
        scaled=scaled,
        missed=scaled & (np.abs(error) > pending.half_width),
        error=by_horizon(np.abs(error)),
        naive_error=by_horizon(np.abs(residual)),
        observed=observed,
        surprise=_first(by_horizon(distance), observed),
        naive_surprise=_first(by_horizon(naive_distance), observed),
        distance=interval_distance(error, pending.half_width, scaled),
    )


def settle_class(pending: Pending, label: FloatArray, known: BoolArray) -> Settled:
    """Settle classifications with `label`, the class's index `(batch,)`, where `known` `(batch,)`.

    `pending.base` is one where the class of the naive guess stands, `pending.prediction` are the probabilities.
    """
    classes = np.arange(pending.prediction.shape[1])
    one_hot = (classes == label[:, None]) & known[:, None]
    error = (pending.prediction.argmax(axis=1) != label).astype(np.float64)
    naive_error = (pending.base.argmax(axis=1) != label).astype(np.float64)
    probability = np.where(one_hot, pending.prediction, 0.0).sum(axis=1)
    observed = known[:, None]
    return Settled(
        known=np.broadcast_to(observed, one_hot.shape),
        target=one_hot.astype(np.float64),
        residual=np.zeros_like(pending.prediction),
        wanted=one_hot.astype(np.float64) - pending.base,
        scaled=np.broadcast_to(observed, one_hot.shape),
        missed=np.zeros_like(one_hot),
        error=error[:, None],
        naive_error=naive_error[:, None],
        observed=observed,
        surprise=np.where(known, error, -1.0),
        naive_surprise=np.where(known, naive_error, -1.0),
        distance=class_distance(probability, len(classes), known),
    )


class _MeanByHorizon:
    """Means over the targets of each horizon of values `(batch, outputs)`, counting only the `known` ones."""

    def __init__(self, known: BoolArray, num_horizons: int) -> None:
        self._known = known.reshape(known.shape[0], num_horizons, -1)
        self._count = self._known.sum(axis=2)
        self.observed: BoolArray = self._count > 0

    def __call__(self, values: FloatArray) -> FloatArray:
        grouped = np.where(self._known, values.reshape(self._known.shape), 0.0)
        return np.asarray(grouped.sum(axis=2) / np.maximum(self._count, 1))


def _first(values: FloatArray, observed: BoolArray) -> FloatArray:
    """The value of the first observed horizon, `(batch,)`; -1 where there is none."""
    first = observed.argmax(axis=1)
    return np.where(observed.any(axis=1), np.take_along_axis(values, first[:, None], axis=1)[:, 0], -1.0)


__all__ = ["Pending", "Settled", "settle_class", "settle_values"]
