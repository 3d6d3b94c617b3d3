"""Activations by name."""

from __future__ import annotations

import pytest
import torch

from liquid_core.cells.activations import activation
from liquid_core.errors import SpecError


@pytest.mark.parametrize("name", ["silu", "relu", "tanh", "gelu", "lecun_tanh"])
def test_every_name_is_a_function_of_zero_to_zero(name: str) -> None:
    """All of them pass 0 on."""
    assert activation(name)(torch.zeros(())) == 0


def test_an_unknown_name_is_refused() -> None:
    """The message lists the names."""
    with pytest.raises(SpecError, match="`activation` must be one of silu, relu"):
        activation("softmax")
