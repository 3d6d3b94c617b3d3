"""Elementary functions: equal to torch's own but for rounding, and bit for bit the same at every place in a batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from liquid_core.cells.elementary import gelu, lecun_tanh, linear, sigmoid, silu, softplus

Function = Callable[[Tensor], Tensor]
PAIRS: list[tuple[Function, Function]] = [
    (sigmoid, torch.sigmoid),
    (softplus, F.softplus),
    (silu, F.silu),
    (gelu, F.gelu),
]


@pytest.mark.parametrize(("ours", "torchs"), PAIRS, ids=lambda function: function.__name__)
def test_a_function_is_torchs(ours: Function, torchs: Function) -> None:
    """Values and slopes agree in float64, at 0 and far out too."""
    points = torch.tensor([-800.0, -30.0, -1.5, -1e-9, 0.0, 1e-9, 0.3, 2.0, 19.9, 20.1, 40.0, 800.0])
    results = []
    for function in (ours, torchs):
        x = points.double().requires_grad_()
        y = function(x)
        results.append((y, torch.autograd.grad(y.sum(), x)[0]))

    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("function", [*(ours for ours, _ in PAIRS), lecun_tanh], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_value_is_the_same_at_every_place(function: Function, dtype: torch.dtype) -> None:
    """A row gives the same bits, forward and back, alone and as any row of any number of equal ones."""
    generator = torch.Generator().manual_seed(0)
    for width in (1, 5, 13, 30, 37):
        row, slope = (torch.randn(width, generator=generator, dtype=dtype) for _ in range(2))
        found: list[Tensor] = []
        for batch in (1, 3, 8, 17):
            x = row.repeat(batch, 1).requires_grad_()
            y = function(x)
            found += [torch.cat([y, torch.autograd.grad((y * slope).sum(), x)[0]], dim=1)]
        rows = torch.cat(found)

        assert (rows == rows[0]).all()


def test_linear_serves_shared_and_own_weights() -> None:
    """Weights with a batch axis give what each row gives with its own."""
    inputs, weight, bias = torch.randn(4, 3), torch.randn(4, 5, 3), torch.randn(4, 5)
    together = linear(inputs, weight, bias)

    for i in range(4):
        torch.testing.assert_close(together[i : i + 1], linear(inputs[i : i + 1], weight[i], bias[i]))


def test_a_product_with_own_weights_is_the_same_at_every_place() -> None:
    """A stream gives the same bits, forward and back, alone and as any of any number of equal ones."""
    for inputs, outputs in ((1, 1), (3, 14), (29, 14), (42, 64), (64, 5)):
        generator = torch.Generator().manual_seed(0)
        row, weight = torch.randn(inputs, generator=generator), torch.randn(outputs, inputs, generator=generator)
        found: list[Tensor] = []
        for batch in (1, 3, 8, 17):
            x, w = row.repeat(batch, 1).requires_grad_(), weight.repeat(batch, 1, 1).requires_grad_()
            y = linear(x, w)
            by_x, by_w = torch.autograd.grad(y.square().sum(), (x, w))
            found.append(torch.cat([y, by_x, by_w.flatten(1)], dim=1))
        rows = torch.cat(found)

        assert (rows == rows[0]).all()


def test_lecun_tanh_keeps_unit_variance() -> None:
    """Noise of unit variance leaves it with a variance near 1, and at most 1.7159."""
    noise = torch.randn(100_000, generator=torch.Generator().manual_seed(0))

    assert lecun_tanh(noise).var().item() == pytest.approx(1.0, abs=0.25)
    assert lecun_tanh(noise * 100).abs().max() <= 1.7159
