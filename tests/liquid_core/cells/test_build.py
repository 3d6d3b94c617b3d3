"""Cells from model specs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from liquid_core import AutoNCP, Cell, CfCCell, LTCCell, MixedMemory, ModelSpec, SpecError, WiredCfCCell, build_cell
from liquid_core.spec import AutoNCPSpec, CfCSpec, LTCSpec, WiredCfCSpec

CELL_SPECS: list[Any] = [
    "cfc",
    "wired_cfc",
    "ltc",
    CfCSpec(units=6, mode="pure", backbone_layers=0, mixed_memory=True),
    WiredCfCSpec(mode="no_gate", mixed_memory=True),
    LTCSpec(constraints="explicit", mixed_memory=True),
]


def spec(cell: Any, **kwargs: Any) -> ModelSpec:
    return ModelSpec(task="forecast", features=("flow",), cell=cell, **kwargs)


@pytest.mark.parametrize("cell", CELL_SPECS, ids=str)
def test_a_spec_and_its_seed_give_the_same_cell(cell: Any) -> None:
    """Built twice, weights are equal bit for bit; another seed gives others."""
    first, second, other = (build_cell(spec(cell, seed=seed), 4) for seed in (3, 3, 4))

    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    assert {parameter.dtype for parameter in first.parameters()} == {torch.float32}


@pytest.mark.parametrize("cell", CELL_SPECS, ids=str)
def test_building_leaves_torchs_randomness_alone(cell: Any) -> None:
    """The global generator is neither used nor moved."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_cell(spec(cell), 4)
    after = torch.get_rng_state()
    torch.manual_seed(2)
    second = build_cell(spec(cell), 4)

    assert torch.equal(before, after)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_seed_is_that_of_torch() -> None:
    """The spec's seed gives the weights that `torch.manual_seed` gives a cell made by hand."""
    torch.manual_seed(9)
    by_hand = LTCCell(AutoNCP(20, 3), 4, implicit_param_constraints=True)
    built = build_cell(spec("ltc", seed=9, wiring=AutoNCPSpec(units=20, outputs=3)), 4)

    assert all(torch.equal(a, b) for a, b in zip(built.parameters(), by_hand.parameters(), strict=True))


@pytest.mark.parametrize(
    ("cell", "kind", "sizes"),
    [
        (CfCSpec(units=6), CfCCell, (6, 6)),
        (LTCSpec(), LTCCell, (32, 8)),
        (WiredCfCSpec(), WiredCfCCell, (32, 8)),
        (CfCSpec(units=6, mixed_memory=True), MixedMemory, (12, 6)),
        (LTCSpec(mixed_memory=True), MixedMemory, (64, 8)),
    ],
)
def test_a_cell_has_the_sizes_of_its_spec(cell: Any, kind: type[Cell], sizes: tuple[int, int]) -> None:
    """State and output are as wide as the spec says; a mixed memory doubles the state."""
    built = build_cell(spec(cell), 4)

    assert isinstance(built, kind)
    assert (built.input_size, built.state_size, built.output_size) == (4, *sizes)


def test_every_option_of_an_ltc_arrives() -> None:
    """Unfolds, constraints and mappings are the spec's."""
    cell = build_cell(
        spec(LTCSpec(ode_unfolds=3, constraints="explicit", input_mapping="linear", output_mapping="none")), 4
    )

    assert isinstance(cell, LTCCell)
    assert (cell.ode_unfolds, cell.implicit_param_constraints) == (3, False)
    assert (cell.input_mapping, cell.output_mapping) == ("linear", "none")


def test_every_option_of_a_cfc_arrives() -> None:
    """Mode and backbone are the spec's."""
    cell = build_cell(spec(CfCSpec(units=5, mode="no_gate", backbone_units=7, backbone_layers=2, activation="relu")), 4)

    assert isinstance(cell, CfCCell)
    assert (cell.mode, cell.backbone_layers) == ("no_gate", 2)
    assert cell.get_parameter("backbone.2.weight").shape == (7, 7)


def test_impossible_wirings_are_refused() -> None:
    """No spec with more outputs than neurons gets as far as a cell; the message names the field."""
    with pytest.raises(SpecError, match=r"`(wiring\.outputs|output_size)` must"):
        build_cell(spec("ltc", wiring=AutoNCPSpec(units=8, outputs=8)), 4)
