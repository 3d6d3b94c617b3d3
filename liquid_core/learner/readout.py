"""The readout: a linear map from the cell's output and the inputs to the outputs, learned by normalised LMS.

Each new target moves the weights so that the same features would have met it a fixed fraction of the way: a step that
needs no unit and cannot overshoot, whatever the size of the features (Nagumo and Noda 1967; Widrow and Hoff's rule,
divided by the features' own power). The cell behind it learns by back-propagation through these weights.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from liquid_core.learner.part import ArraySpec
from liquid_core.types import FloatArray

#: An error beyond this many scales moves the weights no further than this.
MAX_ERROR = 3.0


def arrays(num_outputs: int, num_features: int, real: DTypeLike) -> dict[str, ArraySpec]:
    """Zeros: before it has learned anything, a stream answers with the naive prediction."""
    return {"weights": ArraySpec(real, (num_outputs, num_features))}


def num_features(cell_output_size: int, num_inputs: int) -> int:
    """What the readout sees: the cell's output, the inputs, and a constant."""
    return cell_output_size + num_inputs + 1


def features(cell_output: Tensor, inputs: Tensor) -> Tensor:
    """`(batch, readout features)` from the cell's output `(batch, cell)` and inputs `(batch, inputs)`."""
    return torch.cat([cell_output, inputs, torch.ones_like(inputs[:, :1])], dim=1)


def apply(weights: Tensor, seen: Tensor) -> Tensor:
    """Outputs `(batch, outputs)`; weights `(batch, outputs, readout features)`, features `(batch, readout
    features)`."""
    # Not `torch.bmm`: its last bits change with a matrix's place in the batch.
    return (weights * seen.unsqueeze(1)).sum(2)


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


__all__ = ["MAX_ERROR", "apply", "arrays", "features", "num_features", "update"]
