"""AutoNCP: a neural circuit policy from three numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from liquid_core.errors import WiringError
from liquid_core.types import IntArray
from liquid_core.wiring.base import NeuronType, Wiring, check_number
from liquid_core.wiring.ncp import NCP


@dataclass(frozen=True)
class AutoNCP(Wiring):
    """An NCP whose layers and fan-outs follow from its number of units, outputs and sparsity.

    Parameters
    ----------
    units
        Number of neurons.
    output_size
        Number of motor neurons, at most ``units - 3``.
    sparsity_level
        0.1 (nearly every synapse between layers exists) to 1.0 (one a neuron).
    seed
        Seed of the synapses and their polarities.

    Raises
    ------
    WiringError
        A number is impossible; the message names it.
    """

    kind: ClassVar[str] = "auto_ncp"

    units: int
    output_size: int
    sparsity_level: float = 0.5
    seed: int = 22222

    def __post_init__(self) -> None:
        check_number("units", self.units, 4)
        check_number("output_size", self.output_size, 1)
        if self.output_size >= self.units - 2:
            raise WiringError(
                f"`output_size` must be less than `units` - 2, so that neurons are left for the layers before: "
                f"got {self.output_size} of {self.units}. Raise `units` to {self.output_size + 3} or more."
            )
        if not 0.1 <= self.sparsity_level <= 1.0:
            raise WiringError(f"`sparsity_level` must lie in [0.1, 1.0]: got {self.sparsity_level!r}.")
        check_number("seed", self.seed, 0, 2**32 - 1)

    @cached_property
    def ncp(self) -> NCP:
        """The same wiring with every number spelled out."""
        density = 1.0 - self.sparsity_level
        rest = self.units - self.output_size
        command = max(int(0.4 * rest), 1)
        inter = rest - command
        return NCP(
            inter_neurons=inter,
            command_neurons=command,
            motor_neurons=self.output_size,
            sensory_fanout=max(int(inter * density), 1),
            inter_fanout=max(int(command * density), 1),
            recurrent_command_synapses=max(int(command * density * 2), 1),
            motor_fanin=max(int(command * density), 1),
            seed=self.seed,
        )

    @property
    def layers(self) -> tuple[tuple[int, ...], ...]:
        return self.ncp.layers

    def neuron_type(self, neuron: int) -> NeuronType:
        return self.ncp.neuron_type(neuron)

    def _draw(self, input_size: int) -> tuple[IntArray, IntArray]:
        return self.ncp._draw(input_size)


__all__ = ["AutoNCP"]
