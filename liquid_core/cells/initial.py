"""Initial weights, all drawn from an explicit generator so that building a cell disturbs nobody else's randomness.

The order of the draws is that of `ncps`: the same seed gives the same weights, bit for bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def uniform(generator: torch.Generator | None, low: float, high: float, *shape: int) -> nn.Parameter:
    """A parameter with entries from U(low, high)."""
    return nn.Parameter(torch.rand(*shape, generator=generator) * (high - low) + low)


def linear_layer(
    generator: torch.Generator | None, in_features: int, out_features: int, *, bias: bool = True
) -> nn.Linear:
    """A linear layer with the initial weights that torch gives it, drawn from `generator`."""
    layer = _unset_linear(in_features, out_features, bias=bias)
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    if bias:
        bound = 1 / math.sqrt(in_features) if in_features > 0 else 0.0
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


def _unset_linear(in_features: int, out_features: int, *, bias: bool) -> nn.Linear:
    """A linear layer whose weights nobody has drawn: `nn.Linear` itself would take them from the global generator.

    `nn.utils.skip_init` does the same by way of the meta device, whose first use imports half a second of torch.
    """
    layer = nn.Linear.__new__(nn.Linear)
    nn.Module.__init__(layer)
    layer.in_features, layer.out_features = in_features, out_features
    layer.weight = nn.Parameter(torch.empty(out_features, in_features))
    layer.register_parameter("bias", nn.Parameter(torch.empty(out_features)) if bias else None)
    return layer


def xavier(generator: torch.Generator | None, *tensors: Tensor) -> None:
    """Xavier-uniform entries, in place."""
    for tensor in tensors:
        nn.init.xavier_uniform_(tensor, generator=generator)


__all__ = ["linear_layer", "uniform", "xavier"]
