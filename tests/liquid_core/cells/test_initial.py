"""Initial weights."""

from __future__ import annotations

import torch
from torch import nn

from liquid_core.cells.initial import linear_layer, uniform


def test_a_linear_layer_is_torchs_own() -> None:
    """The same seed gives the weights of `nn.Linear`, without its use of the global generator."""
    torch.manual_seed(5)
    expected = nn.Linear(3, 4)
    before = torch.get_rng_state()
    layer = linear_layer(torch.Generator().manual_seed(5), 3, 4)

    assert torch.equal(layer.weight, expected.weight)
    assert torch.equal(layer.bias, expected.bias)
    assert torch.equal(torch.get_rng_state(), before)


def test_uniform_keeps_its_range() -> None:
    """Every entry lies in the range."""
    drawn = uniform(torch.Generator().manual_seed(0), 3.0, 8.0, 100, 100)

    assert 3.0 <= drawn.min() < 3.1
    assert 7.9 < drawn.max() <= 8.0
