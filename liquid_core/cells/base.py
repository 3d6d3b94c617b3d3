"""What every cell is: one step of a recurrent network in continuous time, as a function of its parameters.

A cell is an ordinary module with ordinary parameters; `Cell.step` takes the parameters from outside. The same code
then serves one set of weights for a whole batch and a set of weights for each stream of it, and everything of
`torch.func` applies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from liquid_core.errors import ShapeError
from liquid_core.types import Parameters


class Cell(nn.Module, ABC):
    """One step in time of a recurrent network.

    Subclasses set the three sizes, register their parameters, and write `advance`; and `prepare`, where some work on
    the parameters need not be done again at every step.
    """

    #: Values in one input.
    input_size: int
    #: Values in a hidden state `hx`.
    state_size: int
    #: Values in an output.
    output_size: int
    #: Whether a step over an elapsed time of 0 leaves the hidden state exactly as it was.
    rests_at_zero_time: bool = False

    def step(self, parameters: Parameters, inputs: Tensor, hx: Tensor, elapsed_time: Tensor) -> tuple[Tensor, Tensor]:
        """One step, as a function of nothing but its arguments and the cell's masks.

        Parameters
        ----------
        parameters
            All that `named_parameters` lists, each in its own shape, or with a leading ``batch`` axis: a set of
            weights for each stream. No operation mixes streams.
        inputs
            ``(batch, inputs)``.
        hx
            Hidden state, ``(batch, state)``.
        elapsed_time
            Time since the previous step, at least 0, ``(batch, 1)``.

        Returns
        -------
        output, hx
            ``(batch, outputs)`` and ``(batch, state)``.
        """
        return self.advance(self.prepare(parameters), inputs, hx, elapsed_time)

    def prepare(self, parameters: Parameters) -> Parameters:
        """What `advance` needs of the parameters, worked out once for many steps: masks applied, matrices joined."""
        return parameters

    @abstractmethod
    def advance(self, prepared: Parameters, inputs: Tensor, hx: Tensor, elapsed_time: Tensor) -> tuple[Tensor, Tensor]:
        """`step` with parameters that went through `prepare`."""

    def parameter_masks(self) -> dict[str, Tensor]:
        """For parameters that the wiring thins out: which entries it leaves, boolean, of the parameter's own shape."""
        return {}

    def arrange(self, parameters: Parameters) -> Tensor:
        """All parameters of one set in one vector, masked entries included: the order in which a stream stores them.

        A cell that has kernels arranges its weights as these walk them.
        """
        return torch.cat([value.reshape(-1) for value in parameters.values()])

    def constrain(self, parameters: Parameters) -> Parameters:
        """Parameters moved back into the range in which the cell is proven stable; for most cells, as they came."""
        return parameters

    def forward(
        self, inputs: Tensor, hx: Tensor | None = None, elapsed_time: Tensor | float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """One step with the cell's own parameters.

        Parameters
        ----------
        inputs
            ``(batch, inputs)``.
        hx
            ``(batch, state)``; zeros by default.
        elapsed_time
            A number for all, or one a sequence: ``(batch, 1)`` or ``(batch,)``.

        Returns
        -------
        output, hx
            ``(batch, outputs)`` and ``(batch, state)``.

        Raises
        ------
        ShapeError
            A tensor has another shape than that.
        """
        if inputs.dim() != 2 or inputs.shape[1] != self.input_size:
            raise ShapeError(f"`inputs` must be (batch, {self.input_size}): got {tuple(inputs.shape)}.")
        if hx is None:
            hx = self.initial_hx(inputs)
        elif hx.shape != (inputs.shape[0], self.state_size):
            raise ShapeError(f"`hx` must be ({inputs.shape[0]}, {self.state_size}): got {tuple(hx.shape)}.")
        return self.step(self.own_parameters(), inputs, hx, elapsed_column(elapsed_time, inputs))

    def initial_hx(self, inputs: Tensor) -> Tensor:
        """Zeros ``(batch, state)``, of the type and on the device of `inputs`, whose first axis is the batch."""
        return inputs.new_zeros(inputs.shape[0], self.state_size)

    def own_parameters(self) -> dict[str, Tensor]:
        """The cell's own parameters by name, as `step` takes them."""
        # Duplicates stay: under functional_call a caller may pass one tensor under several names.
        return dict(self.named_parameters(remove_duplicate=False))

    @property
    def effective_parameter_count(self) -> int:
        """Parameters that can change an output: those that no mask removes."""
        masks = self.parameter_masks()
        return sum(int(masks[name].sum()) if name in masks else p.numel() for name, p in self.own_parameters().items())

    def _check_loaded_masks(self, state_dict: Mapping[str, Any], prefix: str, errors: list[str]) -> None:
        """Weights trained under another wiring would load without a sound and mean nothing: refuse them."""
        for name, own in self.named_buffers(recurse=False):
            loaded = state_dict.get(prefix + name)
            if loaded is not None and (loaded.shape != own.shape or bool((loaded.to(own) != own).any())):
                errors.append(f"`{prefix}{name}` belongs to another wiring; build the cell with that one's numbers.")


def elapsed_column(elapsed_time: Tensor | float, inputs: Tensor) -> Tensor:
    """Elapsed time as ``(batch, 1)``, of the type and on the device of `inputs` ``(batch, ...)``.

    Raises
    ------
    ShapeError
        It is neither a number nor ``(batch, 1)`` nor ``(batch,)``.
    """
    batch = inputs.shape[0]
    elapsed = torch.as_tensor(elapsed_time, dtype=inputs.dtype, device=inputs.device)
    if elapsed.dim() == 0:
        return elapsed.expand(batch, 1)
    if elapsed.shape not in ((batch,), (batch, 1)):
        raise ShapeError(f"`elapsed_time` must be a number, ({batch},) or ({batch}, 1): got {tuple(elapsed.shape)}.")
    return elapsed.reshape(batch, 1)


def scoped(parameters: Parameters, prefix: str) -> dict[str, Tensor]:
    """The parameters of the part called `prefix`, under the names that it gives them itself."""
    start = prefix + "."
    return {name.removeprefix(start): value for name, value in parameters.items() if name.startswith(start)}


__all__ = ["Cell", "elapsed_column", "scoped"]
