"""Activations of a backbone, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from liquid_core.errors import SpecError

Activation = Literal["silu", "relu", "tanh", "gelu", "lecun_tanh"]


def lecun_tanh(x: Tensor) -> Tensor:
    """``1.7159 tanh(0.666 x)``: keeps unit variance (LeCun et al. 1998, Efficient BackProp)."""
    return 1.7159 * torch.tanh(0.666 * x)


_BY_NAME: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "relu": F.relu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "lecun_tanh": lecun_tanh,
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function of this name.

    Raises
    ------
    SpecError
        There is none.
    """
    if name not in _BY_NAME:
        raise SpecError(f"`activation` must be one of {', '.join(_BY_NAME)}: got {name!r}.")
    return _BY_NAME[name]


__all__ = ["Activation", "activation", "lecun_tanh"]
