"""What the cell is trained on: how far the outputs lie from the targets that have just arrived.

Where a cell serves several horizons, the far ones would rule it: their errors are the larger ones, and the noisier. So
a target counts inversely to its horizon.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

#: Errors beyond this many residual scales pull with constant force.
HUBER_DELTA = 3.0


def importance(horizons: Sequence[int], num_tracks: int) -> Tensor:
    """What each output's target counts for in a forecast's loss, `(outputs,)`."""
    return torch.tensor([1.0 / horizon for horizon in horizons], dtype=torch.float64).repeat_interleave(num_tracks)


def residual_loss(outputs: Tensor, targets: Tensor, known: Tensor, weights: Tensor) -> Tensor:
    """Huber loss of each stream, `(batch,)`: the mean over its known targets, weighted by their importance.

    `outputs`, `targets` and `known` are `(batch, outputs)`, targets in residual scales; `weights` `(outputs,)` are
    positive.
    """
    loss = F.huber_loss(outputs, targets, reduction="none", delta=HUBER_DELTA)
    weight = known.to(loss.dtype) * weights.to(loss.dtype)
    total = weight.sum(1)
    return (loss * weight).sum(1) / torch.where(total > 0, total, 1.0)


def class_loss(outputs: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy of each stream, `(batch,)`: `outputs` are logits, `targets` one-hot, both `(batch, classes)`."""
    return -(targets * F.log_softmax(outputs, dim=1) * known.to(outputs.dtype)).sum(1)


def class_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Minus the gradient of the cross-entropy by the logits, `(batch, classes)`."""
    return targets - torch.softmax(outputs, dim=1)


__all__ = ["HUBER_DELTA", "class_error", "class_loss", "importance", "residual_loss"]
