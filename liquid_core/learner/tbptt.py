"""Truncated back-propagation through time: the way of a gradient.

When a target arrives, the samples up to the one that it belongs to are run again from the stored hidden state before
them, with today's weights, and the loss is differentiated through readout and cell back to where the stretch begins
(Williams and Peng 1990). What lies before the stretch is taken as given: that is the truncation. Each target teaches
once, when it arrives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from liquid_core.learner import readout
from liquid_core.learner.loss import class_error, class_loss, residual_loss
from liquid_core.learner.network import Network
from liquid_core.types import Parameters


@dataclass(frozen=True, slots=True)
class Unrolled:
    """One stretch of samples of a batch of streams."""

    #: Hidden state before the stretch, `(batch, state)`.
    hidden: Tensor
    #: `(batch, time, inputs)` and `(batch, time)`.
    inputs: Tensor
    elapsed: Tensor
    #: False where the stretch reaches back before the stream's first sample, `(batch, time)`.
    exists: Tensor
    #: Steps of the stretch at which a horizon's newest target lies, in order.
    anchors: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one set of targets teaches a batch of streams."""

    #: `(batch,)`.
    loss: Tensor
    #: By the cell's packed weights, `(batch, params)`.
    gradient: Tensor
    #: What the readout saw for each output, `(batch, outputs, readout features)`, and its error, `(batch, outputs)`.
    features: Tensor
    error: Tensor


def learn_window(
    network: Network,
    weights: Tensor,
    readout_weights: Tensor,
    stretches: list[Unrolled],
    offset: Tensor,
    targets: Tensor,
    known: Tensor,
    importance: Tensor,
    task: Literal["residual", "class"],
) -> Lesson:
    """Gradient of the loss over targets that just arrived.

    Parameters
    ----------
    weights, readout_weights
        Of the cell, packed, `(batch, params)`, and of the readout, `(batch, outputs, readout features)`.
    stretches
        The samples to unroll; their anchors, in order, belong to descending horizons.
    offset
        What is added to the readout's outputs: the linear expert's word, `(batch, outputs)`.
    targets, known
        Targets in the network's terms and whether they arrived, `(batch, outputs)`, outputs by ascending horizon.
    importance
        What each of them counts for, `(outputs,)`; classes count alike.
    """
    weights = weights.detach().requires_grad_()
    prepared = network.cell.prepare(network.parameters(weights))
    seen = [features for stretch in stretches for features in _scan(network, prepared, stretch)]
    per_horizon = targets.shape[1] // len(seen)
    features = torch.stack(seen[::-1], dim=1).repeat_interleave(per_horizon, dim=1)
    outputs = offset + (readout_weights * features).sum(dim=2)
    if task == "class":
        loss = class_loss(outputs, targets, known)
    else:
        loss = residual_loss(outputs, targets, known, importance)
    # Streams share nothing, so the gradient of the sum holds each stream's own gradient in its own row.
    (gradient,) = torch.autograd.grad(loss.sum(), weights)
    error = class_error(outputs, targets) if task == "class" else targets - outputs
    return Lesson(
        loss=loss.detach(),
        gradient=gradient,
        features=features.detach(),
        error=torch.where(known, error, torch.zeros_like(error)).detach(),
    )


def _scan(network: Network, prepared: Parameters, stretch: Unrolled) -> list[Tensor]:
    """Run the cell over a stretch; what the readout sees at each anchor."""
    hx = stretch.hidden
    seen: list[Tensor] = []
    for step in range(stretch.inputs.shape[1]):
        inputs = stretch.inputs[:, step]
        output, after = network.cell.advance(prepared, inputs, hx, stretch.elapsed[:, step : step + 1])
        hx = torch.where(stretch.exists[:, step : step + 1], after, hx)
        if step in stretch.anchors:
            seen.append(readout.features(output))
    return seen


__all__ = ["Lesson", "Unrolled", "learn_window"]
