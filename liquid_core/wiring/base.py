"""What every wiring is: a recipe (`Wiring`), and the signed graph that it makes for a number of inputs (`BuiltWiring`).

Neuron ids run over the units; the first `output_size` of them are the motor neurons, whose activity is the output.
Adjacency matrices are indexed ``[source, destination]``; an entry is +1 for an excitatory synapse, -1 for an
inhibitory one, 0 where there is none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np

from liquid_core.errors import WiringError
from liquid_core.types import IntArray

NeuronType = Literal["inter", "command", "motor"]

#: Every concrete wiring by the name that its config carries.
_KINDS: dict[str, type[Wiring]] = {}


class Wiring(ABC):
    """A recipe for a wiring: a value that never changes, so that any number of models may share one.

    Subclasses are frozen dataclasses. `build` draws the synapses, always from the recipe's own seed: building twice
    gives the same graph twice.
    """

    #: Name of this kind of wiring in a config.
    kind: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            _KINDS[cls.kind] = cls

    #: Number of neurons.
    units: int
    #: Number of motor neurons: those with ids 0 to ``output_size - 1``.
    output_size: int

    @abstractmethod
    def _draw(self, input_size: int) -> tuple[IntArray, IntArray]:
        """Fresh adjacency ``(units, units)`` and sensory adjacency ``(inputs, units)`` for this many inputs."""

    @property
    def layers(self) -> tuple[tuple[int, ...], ...]:
        """Neuron ids by layer, in the order in which a signal passes them."""
        return (tuple(range(self.units)),)

    def neuron_type(self, neuron: int) -> NeuronType:
        """What kind of neuron this id is."""
        return "motor" if neuron < self.output_size else "inter"

    def build(self, input_size: int) -> BuiltWiring:
        """The graph for a number of inputs.

        Raises
        ------
        WiringError
            `input_size` is not a positive integer.
        """
        if not isinstance(input_size, int | np.integer) or input_size < 1:
            raise WiringError(f"`input_size` must be a positive integer: got {input_size!r}.")
        adjacency, sensory_adjacency = self._draw(int(input_size))
        return BuiltWiring(self, adjacency, sensory_adjacency)

    def to_config(self) -> dict[str, Any]:
        """Plain values that `from_config` reads back."""
        recipe = {field.name: getattr(self, field.name) for field in fields(self) if field.init}  # type: ignore[arg-type]
        return {"kind": self.kind} | recipe

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> Wiring:
        """The wiring that wrote this config.

        Raises
        ------
        WiringError
            The kind is unknown, or a field is missing, unknown or out of range.
        """
        recipe = dict(config)
        kind = recipe.pop("kind", None)
        if kind not in _KINDS:
            raise WiringError(f"`kind` of a wiring must be one of {', '.join(sorted(_KINDS))}: got {kind!r}.")
        try:
            return _KINDS[kind](**recipe)
        except TypeError as error:
            raise WiringError(f"config of a {kind!r} wiring does not fit: {error}") from error


@dataclass(frozen=True, eq=False)
class BuiltWiring:
    """The graph that a wiring draws for a number of inputs; never changes.

    Parameters
    ----------
    wiring
        The recipe that it was built from.
    adjacency
        Synapses between neurons, ``(units, units)``, entries -1, 0, +1; taken over and made read-only.
    sensory_adjacency
        Synapses from inputs to neurons, ``(inputs, units)``, likewise.

    Examples
    --------
    >>> from liquid_core.wiring import AutoNCP
    >>> built = AutoNCP(16, 4).build(4)
    >>> built.synapse_count, built.sensory_synapse_count
    (28, 16)
    """

    wiring: Wiring
    adjacency: IntArray
    sensory_adjacency: IntArray

    def __post_init__(self) -> None:
        units = self.wiring.units
        if self.adjacency.shape != (units, units) or self.sensory_adjacency.shape[1:] != (units,):
            raise WiringError(
                f"adjacency must be ({units}, {units}) and sensory adjacency (inputs, {units}): "
                f"got {self.adjacency.shape} and {self.sensory_adjacency.shape}."
            )
        for array in (self.adjacency, self.sensory_adjacency):
            array.setflags(write=False)

    @property
    def units(self) -> int:
        """Number of neurons."""
        return self.wiring.units

    @property
    def input_size(self) -> int:
        """Number of inputs (sensory neurons)."""
        return int(self.sensory_adjacency.shape[0])

    @property
    def output_size(self) -> int:
        """Number of motor neurons."""
        return self.wiring.output_size

    @property
    def layers(self) -> tuple[tuple[int, ...], ...]:
        """Neuron ids by layer, in the order in which a signal passes them."""
        return self.wiring.layers

    @cached_property
    def neuron_types(self) -> tuple[NeuronType, ...]:
        """What each neuron is, by id."""
        return tuple(self.wiring.neuron_type(neuron) for neuron in range(self.units))

    @cached_property
    def synapse_count(self) -> int:
        """Synapses between neurons."""
        return int(np.abs(self.adjacency).sum())

    @cached_property
    def sensory_synapse_count(self) -> int:
        """Synapses from inputs to neurons."""
        return int(np.abs(self.sensory_adjacency).sum())

    def to_config(self) -> dict[str, Any]:
        """The recipe and the number of inputs: plain values that `from_config` reads back."""
        return {"wiring": self.wiring.to_config(), "input_size": self.input_size}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Draw again, from a config, the graph that wrote it."""
        built = Wiring.from_config(config["wiring"]).build(config["input_size"])
        return cls(built.wiring, built.adjacency, built.sensory_adjacency)


def check_number(name: str, value: object, low: int, high: int | None = None) -> None:
    """Raise `WiringError`, naming the field, unless `value` is an integer in ``[low, high]``."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):  # type: ignore[operator]
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        raise WiringError(f"`{name}` must be an integer, {bounds}: got {value!r}.")


__all__ = ["BuiltWiring", "NeuronType", "Wiring", "check_number"]
