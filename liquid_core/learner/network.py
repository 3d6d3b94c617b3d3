"""The network of a stream: a liquid cell whose parameters are packed into one vector, and a readout."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from liquid_core.cells import Cell, build_cell
from liquid_core.learner.loss import importance
from liquid_core.learner.packing import Packing
from liquid_core.learner.sizes import Sizes
from liquid_core.spec import ModelSpec
from liquid_core.types import Parameters


class Network:
    """Structure shared by all streams of a spec; the weights are theirs and come in from outside.

    Parameters
    ----------
    spec
        The model.
    num_inputs
        Width of what the cell sees.
    dtype
        Type of weights and hidden states.
    """

    def __init__(self, spec: ModelSpec, num_inputs: int, dtype: torch.dtype) -> None:
        self.cell: Cell = build_cell(spec, num_inputs).to(dtype)
        self.dtype = dtype
        initial = {name: value.detach() for name, value in self.cell.named_parameters()}
        self.packing = Packing(initial, self.cell.parameter_masks(), self.cell.arrange)
        #: Cell weights that every stream starts from, `(params,)`.
        self.initial_weights: Tensor = self.packing.pack(initial)
        #: What each output's target counts for in the loss, `(outputs,)`.
        self.importance: Tensor = importance(spec.horizons or (1,), spec.num_tracks)
        self.sizes = Sizes.of(
            spec,
            num_inputs,
            state_size=self.cell.state_size,
            output_size=self.cell.output_size,
            num_params=self.packing.size,
        )

    def parameters(self, weights: Tensor) -> Parameters:
        """The cell's tensors, `(batch, ...)`, from packed `weights` `(batch, params)`; differentiable."""
        return self.packing.unpack(weights)

    def constrain(self, weights: Tensor) -> Tensor:
        """Weights moved back into the range in which the cell is proven to be stable, `(batch, params)`."""
        named = self.packing.unpack(weights)
        constrained = self.cell.constrain(named)
        # Most cells have nothing to constrain; then there is nothing to pack again either.
        return weights if constrained is named else self.packing.pack(constrained)


def torch_type(real: type[np.floating[Any]]) -> torch.dtype:
    """torch's name for a floating type of numpy."""
    return {np.float32: torch.float32, np.float64: torch.float64}[real]


__all__ = ["Network", "torch_type"]
