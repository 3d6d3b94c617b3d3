"""How wide the parts of a stream's network are: all that its row, and whoever lays it out, must know of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from liquid_core.learner import readout
from liquid_core.learner.experts import num_linear_features
from liquid_core.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Sizes:
    """Widths of the network of a spec."""

    #: Hidden state of the cell, its output, and its effective parameters.
    state_size: int
    output_size: int
    num_params: int
    #: Width of what readout and linear expert see, and whether they are learned by recursive least squares.
    readout_features: int
    exact_readout: bool
    linear_features: int
    exact_linear: bool

    @classmethod
    def of(cls, spec: ModelSpec, num_inputs: int, *, state_size: int, output_size: int, num_params: int) -> Self:
        """From those of its cell, which sees `num_inputs` values of a sample."""
        seen, linear = readout.num_features(output_size), num_linear_features(spec, num_inputs)
        return cls(
            state_size=state_size,
            output_size=output_size,
            num_params=num_params,
            readout_features=seen,
            exact_readout=readout.learns_exactly(spec.learner, seen),
            linear_features=linear,
            exact_linear=readout.learns_exactly(spec.learner, linear),
        )


__all__ = ["Sizes"]
