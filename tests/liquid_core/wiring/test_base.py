"""What holds for every wiring."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from liquid_core.errors import WiringError
from liquid_core.spec import AutoNCPSpec, FullyConnectedSpec, NCPSpec, RandomSpec
from liquid_core.wiring import NCP, AutoNCP, BuiltWiring, FullyConnected, Random, Wiring, from_spec

WIRINGS = [FullyConnected(6, 2), Random(8, 3, 0.4), NCP(5, 4, 3, 3, 2, 4, 2), AutoNCP(16, 4)]
wirings = pytest.mark.parametrize("wiring", WIRINGS, ids=lambda wiring: wiring.kind)


@wirings
def test_a_config_reads_back_to_the_same_wiring(wiring: Wiring) -> None:
    """`from_config` undoes `to_config`, whatever the kind, for recipes and for graphs."""
    built = wiring.build(3)
    again = BuiltWiring.from_config(built.to_config())

    assert Wiring.from_config(wiring.to_config()) == wiring
    assert (again.adjacency == built.adjacency).all()
    assert (again.sensory_adjacency == built.sensory_adjacency).all()


@wirings
def test_a_wiring_never_changes(wiring: Wiring) -> None:
    """Neither the recipe nor the graph can be written to."""
    built = wiring.build(3)

    with pytest.raises(FrozenInstanceError):
        wiring.units = 3
    with pytest.raises(ValueError, match="read-only"):
        built.adjacency[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        built.sensory_adjacency[0, 0] = 1


@wirings
def test_every_neuron_stands_in_one_layer(wiring: Wiring) -> None:
    """The layers hold each neuron once, and the motor neurons are the first ids."""
    built = wiring.build(3)

    assert sorted(neuron for layer in built.layers for neuron in layer) == list(range(built.units))
    assert [kind == "motor" for kind in built.neuron_types] == [i < built.output_size for i in range(built.units)]


def test_synapses_are_counted_apart() -> None:
    """`synapse_count` counts synapses between neurons, `sensory_synapse_count` those from inputs."""
    built = FullyConnected(6, self_connections=False).build(4)

    assert (built.synapse_count, built.sensory_synapse_count) == (30, 24)
    assert set(np.unique(built.adjacency)) == {-1, 0, 1}


@pytest.mark.parametrize("size", [0, -1, 2.0, "3"])
def test_an_impossible_number_of_inputs_is_refused(size: object) -> None:
    """`build` wants a positive integer."""
    with pytest.raises(WiringError, match="`input_size` must be a positive integer"):
        AutoNCP(8, 1).build(size)  # type: ignore[arg-type]


def test_an_unknown_config_is_refused() -> None:
    """A config's kind and fields must be known."""
    with pytest.raises(WiringError, match="`kind` of a wiring must be one of auto_ncp, fully_connected, ncp, random"):
        Wiring.from_config({"kind": "small_world"})
    with pytest.raises(WiringError, match=r"config of a 'random' wiring does not fit: .*'unit'"):
        Wiring.from_config({"kind": "random", "unit": 3})


def test_a_graph_of_wrong_shape_is_refused() -> None:
    """The matrices must fit the recipe's units."""
    with pytest.raises(WiringError, match=r"adjacency must be \(6, 6\)"):
        BuiltWiring(FullyConnected(6), np.zeros((5, 5), np.int64), np.zeros((2, 6), np.int64))


@pytest.mark.parametrize(
    ("spec", "wiring"),
    [
        (FullyConnectedSpec(units=5, outputs=2, self_connections=False, seed=3), FullyConnected(5, 2, 3, False)),
        (RandomSpec(units=5, outputs=2, sparsity=0.25, seed=3), Random(5, 2, 0.25, 3)),
        (
            NCPSpec(
                inter_neurons=5,
                command_neurons=4,
                motor_neurons=3,
                sensory_fanout=3,
                inter_fanout=2,
                recurrent_command_synapses=6,
                motor_fanin=1,
                seed=9,
            ),
            NCP(5, 4, 3, 3, 2, 6, 1, 9),
        ),
        (AutoNCPSpec(units=20, outputs=3, sparsity=0.7, seed=4), AutoNCP(20, 3, 0.7, 4)),
    ],
)
def test_a_spec_names_a_wiring(spec: object, wiring: Wiring) -> None:
    """Each field of a wiring's spec arrives where it belongs."""
    assert from_spec(spec) == wiring  # type: ignore[arg-type]
