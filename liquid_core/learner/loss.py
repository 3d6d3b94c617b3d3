"""What the cell is trained on: how far the outputs lie from the targets that have just arrived."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

#: Errors beyond this many residual scales pull with constant force.
HUBER_DELTA = 3.0


def residual_loss(outputs: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Huber loss of each stream, `(batch,)`: the mean over its known targets.

    `outputs`, `targets` and `known` are `(batch, outputs)`, targets in residual scales.
    """
    loss = F.huber_loss(outputs, targets, reduction="none", delta=HUBER_DELTA)
    weight = known.to(loss.dtype)
    return (loss * weight).sum(1) / weight.sum(1).clamp(min=1.0)


def class_loss(outputs: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy of each stream, `(batch,)`: `outputs` are logits, `targets` one-hot, both `(batch, classes)`."""
    return -(targets * F.log_softmax(outputs, dim=1) * known.to(outputs.dtype)).sum(1)


def class_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Minus the gradient of the cross-entropy by the logits, `(batch, classes)`."""
    return targets - torch.softmax(outputs, dim=1)


__all__ = ["HUBER_DELTA", "class_error", "class_loss", "residual_loss"]
