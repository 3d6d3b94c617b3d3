"""FullyConnected: every neuron hears every other one, and every input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from liquid_core.types import IntArray
from liquid_core.wiring.base import Wiring, check_number


@dataclass(frozen=True)
class FullyConnected(Wiring):
    """Every neuron synapses onto every neuron; a synapse is excitatory with probability 2/3.

    Parameters
    ----------
    units
        Number of neurons.
    output_dim
        Number of motor neurons; all neurons by default.
    erev_init_seed
        Seed of the polarities.
    self_connections
        Whether a neuron also synapses onto itself.

    Raises
    ------
    WiringError
        A number is impossible; the message names it.
    """

    kind: ClassVar[str] = "fully_connected"

    units: int
    output_dim: int | None = None
    erev_init_seed: int = 1111
    self_connections: bool = True
    output_size: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_number("units", self.units, 1)
        if self.output_dim is not None:
            check_number("output_dim", self.output_dim, 1, self.units)
        check_number("erev_init_seed", self.erev_init_seed, 0)
        object.__setattr__(self, "output_size", self.units if self.output_dim is None else self.output_dim)

    def _draw(self, input_size: int) -> tuple[IntArray, IntArray]:
        # One generator for both: row by row over the recurrent synapses, then over the sensory ones. A draw of many
        # takes the same numbers from it as many single draws.
        rng = np.random.default_rng(self.erev_init_seed)
        pairs = np.ones((self.units, self.units), dtype=np.bool_)
        if not self.self_connections:
            np.fill_diagonal(pairs, False)
        adjacency = np.zeros((self.units, self.units), dtype=np.int64)
        adjacency[pairs] = rng.choice([-1, 1, 1], int(pairs.sum()))
        sensory = rng.choice([-1, 1, 1], (input_size, self.units)).astype(np.int64)
        return adjacency, sensory


__all__ = ["FullyConnected"]
