"""What the network is trained on: how far its outputs lie from the targets of one window."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

#: Errors beyond this many residual scales pull with constant force.
HUBER_DELTA = 3.0


def residual_loss(outputs: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Huber loss of each stream, `(batch,)`: the mean over its known targets.

    `outputs`, `targets` and `known` are `(batch, time, outputs)`, targets in residual scales.
    """
    loss = F.huber_loss(outputs, torch.where(known, targets, outputs.detach()), reduction="none", delta=HUBER_DELTA)
    return _mean_over_known(loss, known)


def class_loss(outputs: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy of each stream, `(batch,)`: `outputs` are logits, `targets` one-hot `(batch, time, classes)`."""
    loss = -targets * F.log_softmax(outputs, dim=2)
    return _mean_over_known(loss, known) * outputs.shape[2]


def _mean_over_known(loss: Tensor, known: Tensor) -> Tensor:
    weight = known.to(loss.dtype)
    return (loss * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1.0)


__all__ = ["HUBER_DELTA", "class_loss", "residual_loss"]
