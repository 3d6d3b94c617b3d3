"""The readout: a linear map from the cell's output and the inputs to the outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from liquid_core.types import Parameters

WEIGHT, BIAS = "readout.weight", "readout.bias"


def initial(num_outputs: int, width: int) -> dict[str, Tensor]:
    """Zeros: before it has learned anything, a stream answers with the naive prediction."""
    return {WEIGHT: torch.zeros(num_outputs, width), BIAS: torch.zeros(num_outputs)}


def apply(parameters: Parameters, cell_output: Tensor, inputs: Tensor) -> Tensor:
    """Outputs `(batch, time, outputs)` of cell outputs `(batch, time, cell)` and inputs `(batch, time, inputs)`.

    Each stream has its own weights, `(batch, outputs, cell + inputs)`.
    """
    seen = torch.cat([cell_output, inputs], dim=2)
    return torch.matmul(seen, parameters[WEIGHT].transpose(1, 2)) + parameters[BIAS].unsqueeze(1)


__all__ = ["apply", "initial"]
