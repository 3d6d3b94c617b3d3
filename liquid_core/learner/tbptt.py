"""Truncated back-propagation through time: the way of a gradient.

At every step the last samples are run again from the stored hidden state before them, with today's weights, and the loss
over their known targets is differentiated through the cell back to where the stretch begins (Williams and Peng 1990).
What lies before the stretch is taken as given: that is the truncation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from liquid_core.learner import readout
from liquid_core.learner.loss import class_loss, residual_loss
from liquid_core.learner.network import Network


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
    #: Targets in the network's terms and whether they have arrived, `(batch, time, outputs)`.
    targets: Tensor
    known: Tensor


def window_gradient(
    network: Network, weights: Tensor, stretches: list[Unrolled], task: Literal["residual", "class"]
) -> tuple[Tensor, Tensor]:
    """Loss `(batch,)` of each stream over its window, and its gradient `(batch, params)` by the packed weights."""
    weights = weights.detach().requires_grad_()
    cell_parameters, readout_parameters = network.parameters(weights)
    outputs: list[Tensor] = []
    for stretch in stretches:
        hx = stretch.hidden
        seen: list[Tensor] = []
        for step in range(stretch.inputs.shape[1]):
            output, after = network.cell.step(
                cell_parameters, stretch.inputs[:, step], hx, stretch.elapsed[:, step : step + 1]
            )
            hx = torch.where(stretch.exists[:, step : step + 1], after, hx)
            seen.append(output)
        outputs.append(readout.apply(readout_parameters, torch.stack(seen, dim=1), stretch.inputs))
    measure = class_loss if task == "class" else residual_loss
    loss = measure(
        torch.cat(outputs, dim=1),
        torch.cat([stretch.targets for stretch in stretches], dim=1),
        torch.cat([stretch.known for stretch in stretches], dim=1),
    )
    # Streams share nothing, so the gradient of the sum holds each stream's own gradient in its own row.
    (gradient,) = torch.autograd.grad(loss.sum(), weights)
    return loss.detach(), gradient


__all__ = ["Unrolled", "window_gradient"]
