"""Activations of a backbone, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from liquid_core.cells.elementary import gelu, lecun_tanh, silu
from liquid_core.errors import SpecError

Activation = Literal["silu", "relu", "tanh", "gelu", "lecun_tanh"]


_BY_NAME: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": silu,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": gelu,
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


__all__ = ["Activation", "activation"]
