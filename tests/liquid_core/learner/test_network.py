"""The network of a stream: a cell in one vector, and a readout."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from liquid_core import ModelSpec, build_cell
from liquid_core.learner.experts import num_linear_features
from liquid_core.learner.network import Network
from liquid_core.learner.readout import MAX_EXACT_WIDTH
from liquid_core.spec import AutoNCPSpec, CfCSpec, LearnerSpec, LTCSpec, WiringSpec

NCP = AutoNCPSpec(units=8, outputs=2)
CELLS: list[tuple[CfCSpec | LTCSpec, WiringSpec | None]] = [
    (CfCSpec(units=5, backbone_units=7), None),
    (LTCSpec(), NCP),
    (LTCSpec(constraints="explicit"), NCP),
]


def spec_for(cell: CfCSpec | LTCSpec, wiring: WiringSpec | None, seed: int = 0) -> ModelSpec:
    return ModelSpec(task="forecast", features=("a", "b"), cell=cell, wiring=wiring, seed=seed)


@pytest.mark.parametrize(("cell", "wiring"), CELLS)
def test_streams_start_from_the_specs_cell(cell: CfCSpec | LTCSpec, wiring: WiringSpec | None) -> None:
    """The packed weights are those that `build_cell` draws, and step like it."""
    spec = spec_for(cell, wiring)
    network, expected = Network(spec, 6, torch.float64), build_cell(spec, 6).double()
    inputs, hx, elapsed = (
        torch.randn(3, 6).double(),
        torch.randn(3, network.sizes.state_size).double(),
        torch.rand(3, 1).double(),
    )
    parameters = network.parameters(network.initial_weights.expand(3, -1))

    for found, other in zip(
        network.cell.step(parameters, inputs, hx, elapsed), expected(inputs, hx, elapsed), strict=True
    ):
        torch.testing.assert_close(found, other, rtol=1e-12, atol=1e-12)


def test_the_seed_decides_the_weights() -> None:
    """Equal seeds give equal weights, other seeds others."""
    weights = [Network(spec_for(*CELLS[0], seed), 6, torch.float32).initial_weights for seed in (0, 0, 1)]

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_readout_sees_the_cells_output_and_a_constant() -> None:
    """Its width follows from the cell's motor neurons."""
    assert Network(spec_for(*CELLS[1]), 6, torch.float32).sizes.readout_features == 2 + 1


def test_the_linear_expert_sees_the_inputs_and_what_is_known_of_the_targets() -> None:
    """Its width follows from the inputs and the number of targets."""
    network = Network(spec_for(*CELLS[1]), 6, torch.float32)

    assert network.sizes.linear_features == num_linear_features(spec_for(*CELLS[1]), 6) > 6 + 1


@pytest.mark.parametrize(("readout", "exact"), [("auto", True), ("rls", True), ("lms", False)])
def test_the_spec_decides_how_linear_maps_are_learned(readout: Literal["auto", "rls", "lms"], exact: bool) -> None:
    """By recursive least squares, unless LMS is asked for."""
    spec = ModelSpec(task="forecast", features=("a", "b"), learner=LearnerSpec(readout=readout))
    network = Network(spec, 6, torch.float32)

    assert (network.sizes.exact_readout, network.sizes.exact_linear) == (exact, exact)


def test_what_is_too_wide_for_least_squares_is_learned_by_lms() -> None:
    """Where the spec leaves it open: beyond `MAX_EXACT_WIDTH` features."""
    features = tuple(f"f{n}" for n in range(MAX_EXACT_WIDTH // 4))
    wide = ModelSpec(task="forecast", features=features)
    network = Network(wide, 3 * len(features), torch.float32)

    assert network.sizes.linear_features > MAX_EXACT_WIDTH
    assert (network.sizes.exact_readout, network.sizes.exact_linear) == (True, False)


def test_explicit_constraints_hold_in_the_packed_weights() -> None:
    """Negative conductances are moved to zero, stream by stream; another cell's weights stay as they are."""
    explicit, implicit = (Network(spec_for(*CELLS[index]), 6, torch.float32) for index in (2, 1))
    weights = torch.randn(4, explicit.packing.size)
    constrained = explicit.parameters(explicit.constrain(weights))

    for name in ("w", "sensory_w", "cm", "gleak"):
        assert (constrained[name] >= 0).all()
    assert torch.equal(constrained["mu"], explicit.parameters(weights)["mu"])
    assert torch.equal(implicit.constrain(weights), weights)
