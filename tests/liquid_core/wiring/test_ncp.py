"""NCP."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.errors import WiringError
from liquid_core.wiring import NCP, BuiltWiring


@st.composite
def circuits(draw: st.DrawFn) -> BuiltWiring:
    """Any NCP of up to 12 neurons a layer, built for up to 6 inputs."""
    inter, command, motor = (draw(st.integers(1, 12)) for _ in range(3))
    wiring = NCP(
        inter,
        command,
        motor,
        sensory_fanout=draw(st.integers(1, inter)),
        inter_fanout=draw(st.integers(1, command)),
        recurrent_command_synapses=draw(st.integers(0, 2 * command)),
        motor_fanin=draw(st.integers(1, command)),
        seed=draw(st.integers(0, 2**32 - 1)),
    )
    return wiring.build(draw(st.integers(1, 6)))


@given(circuits())
def test_signals_pass_the_layers_in_order(built: BuiltWiring) -> None:
    """Inputs reach inter neurons only, inter command only, command command and motor only, motor nobody."""
    inter, command, motor = (list(layer) for layer in built.layers)
    allowed = np.zeros_like(built.adjacency)
    allowed[np.ix_(inter, command)] = allowed[np.ix_(command, command)] = allowed[np.ix_(command, motor)] = 1

    assert not built.adjacency[allowed == 0].any()
    assert not built.sensory_adjacency[:, command + motor].any()


@given(circuits())
def test_every_neuron_is_reached(built: BuiltWiring) -> None:
    """A signal from the inputs gets to every neuron."""
    reached = built.sensory_adjacency.any(axis=0)
    for _ in range(built.units):
        reached = reached | built.adjacency[reached].any(axis=0)

    assert reached.all()


@given(circuits())
def test_every_command_neuron_is_heard(built: BuiltWiring) -> None:
    """No command neuron is without a synapse onto a motor neuron."""
    _, command, motor = (list(layer) for layer in built.layers)

    assert built.adjacency[np.ix_(command, motor)].any(axis=1).all()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 4, 3, 3, 2, 4, 2), "`inter_neurons` must be an integer, at least 1: got 0"),
        ((5, 0, 3, 3, 2, 4, 2), "`command_neurons` must"),
        ((5, 4, 0, 3, 2, 4, 2), "`motor_neurons` must"),
        ((5, 4, 3, 6, 2, 4, 2), "`sensory_fanout` must be an integer, between 1 and 5: got 6"),
        ((5, 4, 3, 3, 5, 4, 2), "`inter_fanout` must"),
        ((5, 4, 3, 3, 2, -1, 2), "`recurrent_command_synapses` must"),
        ((5, 4, 3, 3, 2, 4, 5), "`motor_fanin` must"),
        ((5, 4, 3, 3, 2, 4, 2, 2**32), "`seed` must"),
    ],
)
def test_impossible_numbers_are_refused(numbers: tuple[Any, ...], message: str) -> None:
    """The message names the number, its range and what came."""
    with pytest.raises(WiringError, match=message):
        NCP(*numbers)
