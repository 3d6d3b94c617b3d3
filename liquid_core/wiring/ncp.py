"""NCP: a neural circuit policy, four layers wired like the tap-withdrawal circuit of C. elegans."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from liquid_core.types import IntArray
from liquid_core.wiring.base import NeuronType, Wiring, check_number


@dataclass(frozen=True)
class NCP(Wiring):
    """Inputs feed inter neurons, these feed command neurons, which talk among each other and feed motor neurons.

    Neuron ids: motor neurons first, then command, then inter neurons.

    Parameters
    ----------
    inter_neurons, command_neurons, motor_neurons
        Sizes of the layers.
    sensory_fanout
        Inter neurons that each input reaches, at most `inter_neurons`.
    inter_fanout
        Command neurons that each inter neuron reaches, at most `command_neurons`.
    recurrent_command_synapses
        Draws of a synapse between two command neurons; one pair may be drawn twice.
    motor_fanin
        Command neurons that each motor neuron hears, at most `command_neurons`.
    seed
        Seed of the synapses and their polarities.

    Raises
    ------
    WiringError
        A number is impossible; the message names it.

    References
    ----------
    Lechner et al. 2020, Neural circuit policies enabling auditable autonomy, Methods, "Designing NCP networks".
    """

    kind: ClassVar[str] = "ncp"

    inter_neurons: int
    command_neurons: int
    motor_neurons: int
    sensory_fanout: int
    inter_fanout: int
    recurrent_command_synapses: int
    motor_fanin: int
    seed: int = 22222
    units: int = field(init=False, repr=False, compare=False)
    output_size: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_number("inter_neurons", self.inter_neurons, 1)
        check_number("command_neurons", self.command_neurons, 1)
        check_number("motor_neurons", self.motor_neurons, 1)
        check_number("sensory_fanout", self.sensory_fanout, 1, self.inter_neurons)
        check_number("inter_fanout", self.inter_fanout, 1, self.command_neurons)
        check_number("recurrent_command_synapses", self.recurrent_command_synapses, 0)
        check_number("motor_fanin", self.motor_fanin, 1, self.command_neurons)
        check_number("seed", self.seed, 0, 2**32 - 1)
        object.__setattr__(self, "units", self.inter_neurons + self.command_neurons + self.motor_neurons)
        object.__setattr__(self, "output_size", self.motor_neurons)

    @property
    def layers(self) -> tuple[tuple[int, ...], ...]:
        first_inter = self.motor_neurons + self.command_neurons
        inter = range(first_inter, self.units)
        command = range(self.motor_neurons, first_inter)
        return tuple(inter), tuple(command), tuple(range(self.motor_neurons))

    def neuron_type(self, neuron: int) -> NeuronType:
        if neuron < self.motor_neurons:
            return "motor"
        return "command" if neuron < self.motor_neurons + self.command_neurons else "inter"

    def _draw(self, input_size: int) -> tuple[IntArray, IntArray]:
        rng = np.random.RandomState(self.seed)
        inter, command, motor = (np.asarray(layer) for layer in self.layers)
        adjacency = np.zeros((self.units, self.units), dtype=np.int64)
        sensory = np.zeros((input_size, self.units), dtype=np.int64)

        fan_out(rng, sensory, np.arange(input_size), inter, self.sensory_fanout)
        # The mean number of synapses that a neuron of the next layer hears, for those that nothing reached. The cap
        # of the second one is upstream's: the number of command neurons, not of inter neurons.
        fan_in = np.clip(int(input_size * self.sensory_fanout / len(inter)), 1, input_size)
        fan_in_to_deaf(rng, sensory, np.arange(input_size), inter, fan_in)

        fan_out(rng, adjacency, inter, command, self.inter_fanout)
        fan_in = np.clip(int(len(inter) * self.inter_fanout / len(command)), 1, len(command))
        fan_in_to_deaf(rng, adjacency, inter, command, fan_in)

        for _ in range(self.recurrent_command_synapses):
            source, destination = rng.choice(command), rng.choice(command)
            adjacency[source, destination] = rng.choice([-1, 1])

        for neuron in motor:
            sources = rng.choice(command, self.motor_fanin, replace=False)
            adjacency[sources, neuron] = rng.choice([-1, 1], self.motor_fanin)
        mean_fan_out = np.clip(int(len(motor) * self.motor_fanin / len(command)), 1, len(motor))
        for neuron in command[~adjacency[np.ix_(command, motor)].any(axis=1)]:
            destinations = rng.choice(motor, mean_fan_out, replace=False)
            adjacency[neuron, destinations] = rng.choice([-1, 1], mean_fan_out)
        return adjacency, sensory


def fan_out(rng: np.random.RandomState, matrix: IntArray, sources: IntArray, layer: IntArray, number: int) -> None:
    """Connect each source to this many neurons of the layer."""
    for source in sources:
        destinations = rng.choice(layer, number, replace=False)
        matrix[source, destinations] = rng.choice([-1, 1], number)


def fan_in_to_deaf(
    rng: np.random.RandomState, matrix: IntArray, sources: IntArray, layer: IntArray, number: int
) -> None:
    """Connect those neurons of the layer that hear nothing yet to this many of the sources."""
    for neuron in layer[~matrix[np.ix_(sources, layer)].any(axis=0)]:
        chosen = rng.choice(sources, number, replace=False)
        matrix[chosen, neuron] = rng.choice([-1, 1], number)


__all__ = ["NCP"]
