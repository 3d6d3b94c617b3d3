"""The LTC cell: its options and their errors. What its theorems say is in test_ltc_theorems.py."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from liquid_core import AutoNCP, FullyConnected, LTCCell, SpecError, WiringError


def test_the_output_is_the_mapped_motor_neurons() -> None:
    """An affine output mapping scales and shifts the motor neurons; the hidden state stays as it is."""
    cell = LTCCell(AutoNCP(8, 2), 3)
    with torch.no_grad():
        cell.output_w.copy_(torch.tensor([2.0, 3.0]))
        cell.output_b.copy_(torch.tensor([0.5, -0.5]))
    output, hx = cell(torch.randn(4, 3))

    torch.testing.assert_close(output, hx[:, :2] * torch.tensor([2.0, 3.0]) + torch.tensor([0.5, -0.5]))


@pytest.mark.parametrize(
    ("mapping", "names"), [("affine", {"input_w", "input_b"}), ("linear", {"input_w"}), ("none", set())]
)
def test_a_mapping_has_its_parameters(mapping: Any, names: set[str]) -> None:
    """Affine scales and shifts, linear scales, none does nothing."""
    parameters = dict(LTCCell(AutoNCP(8, 2), 3, input_mapping=mapping).named_parameters())

    assert {name for name in parameters if name.startswith("input")} == names


def test_explicit_constraints_clip_at_zero() -> None:
    """`apply_weight_constraints` moves negative conductances and capacitances to 0 and leaves all else."""
    cell = LTCCell(AutoNCP(8, 2), 3)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.sub_(0.7)
    before = {name: value.detach().clone() for name, value in cell.named_parameters()}
    cell.apply_weight_constraints()

    for name, value in cell.named_parameters():
        clipped = name in ("w", "sensory_w", "cm", "gleak")
        assert torch.equal(value, before[name].clamp(min=0) if clipped else before[name])


def test_implicit_constraints_need_no_clipping() -> None:
    """With a softplus in between, negative raw values are positive conductances: nothing is moved."""
    cell = LTCCell(AutoNCP(8, 2), 3, implicit_param_constraints=True)
    parameters = {name: value - 5.0 for name, value in cell.named_parameters()}

    assert cell.constrain(parameters) is parameters
    low, high = cell.time_constant_bounds(parameters)
    assert (low > 0).all()
    assert high.isfinite().all()


def test_a_neuron_without_capacitance_rests_over_no_time() -> None:
    """Capacitances may be clipped to 0; over no time even such a neuron stays, and over some time it is finite."""
    cell = LTCCell(AutoNCP(8, 2), 3)
    with torch.no_grad():
        cell.cm.zero_()
    hx = torch.randn(2, 8)

    assert torch.equal(cell(torch.randn(2, 3), hx, 0.0)[1], hx)
    assert cell(torch.randn(2, 3), hx, 1.0)[1].isfinite().all()


def test_a_built_wiring_can_be_shared() -> None:
    """A cell takes a graph that is built already, and refuses one for other inputs."""
    built = AutoNCP(8, 2).build(3)

    assert LTCCell(built).wiring is built
    with pytest.raises(WiringError, match="the wiring was built for 3 inputs, not for 4"):
        LTCCell(built, 4)
    with pytest.raises(WiringError, match="`in_features` is missing"):
        LTCCell(AutoNCP(8, 2))


def test_time_constants_without_synapses_are_those_of_the_leak() -> None:
    """With no conductance but the leak a neuron forgets within cm / gleak."""
    cell = LTCCell(FullyConnected(4), 2)
    with torch.no_grad():
        cell.w.zero_()
        cell.sensory_w.zero_()
    parameters = cell.own_parameters()

    torch.testing.assert_close(
        cell.time_constants(parameters, torch.randn(3, 2), torch.randn(3, 4)), (cell.cm / cell.gleak).expand(3, 4)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_mapping": "quadratic"}, '`input_mapping` must be "affine", "linear" or "none": got \'quadratic\''),
        ({"output_mapping": None}, "`output_mapping` must be"),
        ({"ode_unfolds": 0}, "`ode_unfolds` must be at least 1: got 0"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    """The message names the option."""
    with pytest.raises(SpecError, match=message):
        LTCCell(AutoNCP(8, 2), 3, **options)
