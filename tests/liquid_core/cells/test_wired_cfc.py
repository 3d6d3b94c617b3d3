"""The wired CfC cell."""

from __future__ import annotations

import pytest
import torch

from liquid_core import AutoNCP, FullyConnected, WiredCfCCell
from liquid_core.cells.cfc import Mode


def test_layers_follow_the_wiring() -> None:
    """Inter, command and motor neurons are a layer each; the state holds them in that order."""
    cell = WiredCfCCell(3, AutoNCP(16, 4))
    output, hx = cell(torch.randn(2, 3))

    assert cell.layer_sizes == [8, 4, 4]
    assert (cell.input_size, cell.state_size, cell.output_size) == (3, 16, 4)
    assert torch.equal(output, hx[:, -4:])


def test_with_fewer_outputs_than_neurons_the_first_are_motor() -> None:
    """A wiring of one layer gives its first neurons."""
    output, hx = WiredCfCCell(3, FullyConnected(8, 2))(torch.randn(5, 3))

    assert torch.equal(output, hx[:, :2])


@pytest.mark.parametrize("mode", ["no_gate", "pure"])
def test_an_input_reaches_the_neurons_that_it_synapses_onto(mode: Mode) -> None:
    """With the time gates masked too, an inter neuron moves with an input only if a synapse leads there."""
    cell = WiredCfCCell(3, AutoNCP(16, 4, 0.8), mode, respect_recurrence=True).double()
    jacobian = torch.func.jacrev(lambda x: cell(x.unsqueeze(0))[1][0])(torch.randn(3).double())
    inter = list(cell.wiring.layers[0])

    assert ((jacobian[: len(inter)].T != 0).numpy() == (cell.wiring.sensory_adjacency[:, inter] != 0)).all()


def test_recurrence_is_dense_unless_asked_for() -> None:
    """By default, as in ncps, every neuron of a layer hears every other; `respect_recurrence` takes that away."""
    dense, sparse = (WiredCfCCell(3, AutoNCP(16, 4), respect_recurrence=respect) for respect in (False, True))
    motor = [cell.parameter_masks()["layer_2.ff1.weight"][:, -4:] for cell in (dense, sparse)]

    assert motor[0].all()
    assert torch.equal(motor[1], torch.eye(4).bool())
    assert sparse.effective_parameter_count < dense.effective_parameter_count
