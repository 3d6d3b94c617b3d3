"""Random: synapses between pairs of neurons drawn at random."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from liquid_core.errors import WiringError
from liquid_core.types import IntArray
from liquid_core.wiring.base import Wiring, check_number


@dataclass(frozen=True)
class Random(Wiring):
    """A fraction ``1 - sparsity_level`` of all pairs is connected; excitatory with probability 2/3.

    Parameters
    ----------
    units
        Number of neurons.
    output_dim
        Number of motor neurons; all neurons by default.
    sparsity_level
        Fraction of the pairs that have no synapse, 0 <= sparsity_level < 1.
    random_seed
        Seed of the synapses and their polarities.

    Raises
    ------
    WiringError
        A number is impossible; the message names it.
    """

    kind: ClassVar[str] = "random"

    units: int
    output_dim: int | None = None
    sparsity_level: float = 0.0
    random_seed: int = 1111
    output_size: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_number("units", self.units, 1)
        if self.output_dim is not None:
            check_number("output_dim", self.output_dim, 1, self.units)
        if not 0.0 <= self.sparsity_level < 1.0:
            raise WiringError(f"`sparsity_level` must lie in [0, 1): got {self.sparsity_level!r}.")
        check_number("random_seed", self.random_seed, 0)
        object.__setattr__(self, "output_size", self.units if self.output_dim is None else self.output_dim)

    def _draw(self, input_size: int) -> tuple[IntArray, IntArray]:
        rng = np.random.default_rng(self.random_seed)
        adjacency = np.zeros(self.units * self.units, dtype=np.int64)
        num_synapses = round(adjacency.size * (1 - self.sparsity_level))
        places = rng.choice(adjacency.size, num_synapses, replace=False)
        adjacency[places] = rng.choice([-1, 1, 1], num_synapses)

        sensory = np.zeros(input_size * self.units, dtype=np.int64)
        num_sensory = round(sensory.size * (1 - self.sparsity_level))
        places = rng.choice(sensory.size, num_sensory, replace=False)
        # ncps draws each sensory polarity twice and keeps the second; we follow it for the sake of equal seeds.
        sensory[places] = rng.choice([-1, 1, 1], (num_sensory, 2))[:, 1]
        return adjacency.reshape(self.units, self.units), sensory.reshape(input_size, self.units)


__all__ = ["Random"]
