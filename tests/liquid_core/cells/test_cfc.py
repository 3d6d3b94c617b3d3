"""The CfC cell: its options, its errors, and the bounds that its form gives."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from liquid_core import CfCCell, ShapeError, SpecError
from liquid_core.cells.cfc import Mode, closed_form

seeds = st.integers(0, 10_000)
times = st.floats(1e-3, 1e4)


def wild(mode: Mode, seed: int) -> CfCCell:
    """A cell in float64 with weights 20 times the usual."""
    generator = torch.Generator().manual_seed(seed)
    cell = CfCCell(3, 6, mode, backbone_units=8, generator=generator).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter += 20 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return cell.requires_grad_(False)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=50)
@given(seeds, times, st.sampled_from([("default", 1.0), ("no_gate", 2.0)]))
def test_states_are_bounded(seed: int, time: float, mode: tuple[Mode, float]) -> None:
    """A state of the default mode lies within 1, one without gate within 2, whatever weights, inputs and times."""
    name, bound = mode
    cell, hx = wild(name, seed), noise(seed, 4, 6)
    for step in noise(seed + 1, 5, 4, 3) * 1e4:
        _, hx = cell(step, hx, time)
        assert hx.abs().max() <= bound


@settings(max_examples=50)
@given(seeds, times)
def test_pure_states_keep_near_their_target(seed: int, time: float) -> None:
    """In pure mode a state keeps within \\|A\\| / (e t) of A: near it after long, anywhere after short times."""
    cell = wild("pure", seed)
    _, hx = cell(noise(seed + 1, 4, 3) * 1e4, noise(seed, 4, 6), time)

    assert ((hx - cell.A).abs() <= cell.A.abs() / (math.e * time) + 1e-9).all()


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.floats(-6.0, 6.0)), min_size=1, max_size=8), st.data())
def test_the_closed_form_keeps_to_the_solution(stretches: list[tuple[float, float]], data: st.DataObject) -> None:
    """Lemma 1: under any piecewise constant input the closed form errs by no more than \\|x0 - A\\| exp(-w t)."""
    start, target = data.draw(st.floats(-5, 5)), data.draw(st.floats(-5, 5))
    w = data.draw(st.floats(0.0, 3.0))
    time = sum(length for length, _ in stretches)
    opened = sum(length / (1 + math.exp(-value)) for length, value in stretches)
    exact = (start - target) * math.exp(-w * time - opened) + target
    last = torch.tensor(stretches[-1][1], dtype=torch.float64)
    x0, a, t = (torch.tensor(number, dtype=torch.float64) for number in (start, target, time))
    error = exact - closed_form(x0, a, w + torch.sigmoid(last), torch.sigmoid(-last), t).item()

    assert abs(error) <= abs(start - target) * math.exp(-w * time) + 1e-12


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_the_backbone_has_its_layers(layers: int) -> None:
    """The heads see the last backbone layer, or the input and state where there is none."""
    cell = CfCCell(3, 5, backbone_units=7, backbone_layers=layers)

    assert cell.get_parameter("ff1.weight").shape == (5, 7 if layers else 8)
    assert sum("backbone" in name for name, _ in cell.named_parameters()) == 2 * layers


def test_state_dicts_that_count_dropout_layers_load() -> None:
    """ncps numbers backbone layers 0, 2, 5, 8 where there is dropout; they load in that order."""
    cell = CfCCell(3, 5, backbone_units=7, backbone_layers=4)
    theirs = {
        name.replace("backbone.4", "backbone.5").replace("backbone.6", "backbone.8"): value
        for name, value in CfCCell(3, 5, backbone_units=7, backbone_layers=4).state_dict().items()
    }
    cell.load_state_dict(theirs)

    assert torch.equal(cell.get_parameter("backbone.4.weight"), theirs["backbone.5.weight"])
    assert torch.equal(cell.get_parameter("backbone.6.bias"), theirs["backbone.8.bias"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "`hidden_size` must be at least 1: got 0"),
        ({"backbone_units": 0}, "`backbone_units` must be at least 1: got 0"),
        ({"mode": "fast"}, '`mode` must be "default", "pure" or "no_gate": got \'fast\''),
        ({"backbone_activation": "elu"}, "`activation` must be one of silu, relu, tanh, gelu, lecun_tanh: got 'elu'"),
        ({"backbone_layers": -1}, "`backbone_layers` must be at least 0: got -1"),
        ({"backbone_dropout": 1.0}, r"`backbone_dropout` must lie in \[0, 1\): got 1.0"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    """The message names the option."""
    with pytest.raises(SpecError, match=message):
        CfCCell(**{"input_size": 3, "hidden_size": 5} | options)


def test_a_mask_of_wrong_shape_is_refused() -> None:
    """A mask has a row a neuron and a column for each value that the heads see."""
    with pytest.raises(ShapeError, match=r"`sparsity_mask` must be \(5, 8\): got \(8, 5\)"):
        CfCCell(3, 5, backbone_layers=0, sparsity_mask=torch.ones(8, 5))
