"""The readout: a linear map from the cell's output to what the linear expert leaves of the targets.

It is learned by recursive least squares (`liquid_core.learner.rls`), or by normalised LMS: each new target then moves
the weights so that the same features would have met it a fixed fraction of the way, a step that needs no unit and
cannot overshoot, whatever the size of the features (Nagumo and Noda 1967; Widrow and Hoff's rule, divided by the
features' own power). The cell behind it learns by back-propagation through these weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from liquid_core.learner.part import ArraySpec
from liquid_core.learner.rls import MAX_ERROR
from liquid_core.spec import LearnerSpec
from liquid_core.types import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

#: Beyond this width the covariance of recursive least squares would outgrow all else that a stream is.
MAX_EXACT_WIDTH = 384
MAX_LOGIT = 50.0
#: Where the answer is certain the cross-entropy is flat: this keeps a surprise from moving it without bound.
MIN_CURVATURE = 0.1


def arrays(num_outputs: int, num_features: int, real: DTypeLike) -> dict[str, ArraySpec]:
    """Zeros: before it has learned anything, a stream answers with the naive prediction."""
    return {"weights": ArraySpec(real, (num_outputs, num_features))}


def num_features(cell_output_size: int) -> int:
    """What the readout sees: the cell's output, and a constant."""
    return cell_output_size + 1


def learns_exactly(spec: LearnerSpec, width: int) -> bool:
    """Whether a linear map on so many features is learned by recursive least squares."""
    return spec.readout == "rls" or (spec.readout == "auto" and width <= MAX_EXACT_WIDTH)


def features(cell_output: Tensor) -> Tensor:
    """`(batch, readout features)` from the cell's output, `(batch, cell)`."""
    import torch  # all else here is numpy, and serves who has not imported torch yet

    return torch.cat([cell_output, torch.ones_like(cell_output[:, :1])], dim=1)


def apply(weights: Tensor, seen: Tensor) -> Tensor:
    """Outputs `(batch, outputs)`; weights `(batch, outputs, readout features)`, features `(batch, readout
    features)`."""
    # Not `torch.bmm`: its last bits change with a matrix's place in the batch.
    return (weights * seen.unsqueeze(1)).sum(2)


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities `(batch, classes)`; what is no number counts as zero, and no logit beyond `MAX_LOGIT`."""
    kept = np.clip(np.where(np.isnan(logits), 0.0, logits), -MAX_LOGIT, MAX_LOGIT)
    power = np.exp(kept - kept.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def normalised(shares: FloatArray) -> FloatArray:
    """Probabilities `(batch, classes)` from what should be some already; equal ones where nothing is left."""
    positive = np.clip(shares, 0.0, 1.0)
    total = positive.sum(axis=1, keepdims=True)
    return np.where(total > 0, positive / np.where(total > 0, total, 1.0), 1.0 / shares.shape[1])


def class_curvature(probability: FloatArray) -> FloatArray:
    """Curvature of the cross-entropy by a logit, `(batch,)`, from probabilities `(batch, classes)`.

    All logits move together, their sum unchanged; so a class of two counts double.
    """
    classes = probability.shape[1]
    curvature = (probability * (1.0 - probability)).max(axis=1) * (classes / (classes - 1.0))
    return np.asarray(np.maximum(curvature, MIN_CURVATURE))


def update(weights: FloatArray, seen: FloatArray, error: FloatArray, rate: float) -> FloatArray:
    """Weights after an error.

    Parameters
    ----------
    weights
        `(batch, outputs, readout features)`.
    seen
        The features that each output was made from, of the same shape: horizons look back to different samples.
    error
        Target less output, `(batch, outputs)`; zero where there is no target.
    rate
        Fraction of the error that the step takes away.
    """
    power = 1.0 + (seen * seen).sum(axis=2)
    step = rate * np.clip(error, -MAX_ERROR, MAX_ERROR) / power
    return np.asarray(weights + step[:, :, None] * seen, dtype=weights.dtype)


__all__ = [
    "MAX_ERROR",
    "MAX_EXACT_WIDTH",
    "apply",
    "arrays",
    "class_curvature",
    "features",
    "learns_exactly",
    "normalised",
    "num_features",
    "softmax",
    "update",
]
