"""Activations by name."""

from __future__ import annotations

import pytest
import torch

from liquid_core.cells.activations import activation, lecun_tanh
from liquid_core.errors import SpecError


def test_lecun_tanh_keeps_unit_variance() -> None:
    """Noise of unit variance leaves it with a variance near 1, and at most 1.7159."""
    noise = torch.randn(100_000, generator=torch.Generator().manual_seed(0))

    assert lecun_tanh(noise).var().item() == pytest.approx(1.0, abs=0.25)
    assert lecun_tanh(noise * 100).abs().max() <= 1.7159


@pytest.mark.parametrize("name", ["silu", "relu", "tanh", "gelu", "lecun_tanh"])
def test_every_name_is_a_function_of_zero_to_zero(name: str) -> None:
    """All of them pass 0 on."""
    assert activation(name)(torch.zeros(())) == 0


def test_an_unknown_name_is_refused() -> None:
    """The message lists the names."""
    with pytest.raises(SpecError, match="`activation` must be one of silu, relu"):
        activation("softmax")
