"""`ncps` as the oracle of the wirings: the same numbers and seed draw the same graph, synapse by synapse."""

from __future__ import annotations

from typing import Any

import ncps.wirings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import liquid_core

seeds = st.integers(0, 2**32 - 1)


def assert_same_graph(kind: str, numbers: tuple[Any, ...], inputs: int) -> None:
    ours = getattr(liquid_core, kind)(*numbers).build(inputs)
    theirs = getattr(ncps.wirings, kind)(*numbers)
    theirs.build(inputs)

    assert (ours.adjacency == theirs.adjacency_matrix).all()
    assert (ours.sensory_adjacency == theirs.sensory_adjacency_matrix).all()
    assert ours.output_size == theirs.output_dim
    assert [list(layer) for layer in ours.layers] == [
        list(theirs.get_neurons_of_layer(layer)) for layer in range(theirs.num_layers)
    ]
    assert list(ours.neuron_types) == [theirs.get_type_of_neuron(neuron) for neuron in range(theirs.units)]


@pytest.mark.parametrize("numbers", [(8, 1), (16, 1), (16, 4), (32, 1), (32, 4), (64, 8), (128, 8)])
def test_auto_ncp_with_defaults(numbers: tuple[int, int]) -> None:
    """The usual sizes, with upstream's default seed."""
    assert_same_graph("AutoNCP", numbers, 4)


@settings(max_examples=40)
@given(st.integers(4, 40), st.integers(1, 8), st.floats(0.1, 1.0), seeds, st.integers(1, 12))
def test_auto_ncp(units: int, outputs: int, sparsity: float, seed: int, inputs: int) -> None:
    """Any size, sparsity and seed."""
    assert_same_graph("AutoNCP", (units, min(outputs, units - 3), sparsity, seed), inputs)


@settings(max_examples=40)
@given(st.tuples(*[st.integers(1, 10)] * 3), st.data(), seeds, st.integers(1, 12))
def test_ncp(layers: tuple[int, int, int], data: st.DataObject, seed: int, inputs: int) -> None:
    """Any layers, fans and seed."""
    inter, command, _ = layers
    fans = (
        data.draw(st.integers(1, inter)),
        data.draw(st.integers(1, command)),
        data.draw(st.integers(0, 2 * command)),
        data.draw(st.integers(1, command)),
    )
    assert_same_graph("NCP", (*layers, *fans, seed), inputs)


@settings(max_examples=30)
@given(st.integers(1, 16), st.booleans(), seeds, st.integers(1, 8))
def test_fully_connected(units: int, self_connections: bool, seed: int, inputs: int) -> None:
    """Any size and seed, with and without self-connections."""
    assert_same_graph("FullyConnected", (units, None, seed, self_connections), inputs)


@settings(max_examples=30)
@given(st.integers(1, 16), st.floats(0.0, 0.95), seeds, st.integers(1, 8))
def test_random(units: int, sparsity: float, seed: int, inputs: int) -> None:
    """Any size, sparsity and seed."""
    assert_same_graph("Random", (units, 1, sparsity, seed), inputs)
