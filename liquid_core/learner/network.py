"""The network of a stream: a liquid cell and a readout, with all parameters in one packed vector."""

from __future__ import annotations

import torch
from torch import Tensor

from liquid_core.cells import Cell, build_cell
from liquid_core.learner import readout
from liquid_core.learner.packing import Packing
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
        initial = {f"cell.{name}": value.detach() for name, value in self.cell.named_parameters()}
        width = self.cell.output_size + num_inputs
        initial |= {name: value.to(dtype) for name, value in readout.initial(spec.num_outputs, width).items()}
        masks = {f"cell.{name}": mask for name, mask in self.cell.parameter_masks().items()}
        self.packing = Packing(initial, masks)
        #: Weights that every stream starts from, `(params,)`.
        self.initial_weights: Tensor = self.packing.pack(initial)

    @property
    def state_size(self) -> int:
        return self.cell.state_size

    def parameters(self, weights: Tensor) -> tuple[Parameters, Parameters]:
        """The cell's and the readout's tensors, `(batch, ...)`, from packed `weights` `(batch, params)`."""
        named = self.packing.unpack(weights)
        cell = {name.removeprefix("cell."): value for name, value in named.items() if name.startswith("cell.")}
        return cell, {name: value for name, value in named.items() if name.startswith("readout.")}

    def constrain(self, weights: Tensor) -> Tensor:
        """Weights moved back into the range in which the cell is proven to be stable, `(batch, params)`."""
        named = self.packing.unpack(weights)
        cell = {name.removeprefix("cell."): value for name, value in named.items() if name.startswith("cell.")}
        constrained = {f"cell.{name}": value for name, value in self.cell.constrain(cell).items()}
        return self.packing.pack(named | constrained)


__all__ = ["Network"]
