"""A liquid network in TorchScript, for programs that have no Python.

`torch.jit.script(rnn)` finds its way here by itself. `torch.export` and `torch.compile` need no help.
"""

import torch
from torch import Tensor, nn

from liquid_core.cells import Cell


class ScriptableRNN(nn.Module):
    """What `torch.jit.script` compiles in place of a `LiquidRNN`: its cell's step traced, the loop over time scripted.

    Shapes are those of `LiquidRNN`, for batches only. A mixed memory's hidden state is one tensor ``[h, c]``.

    Parameters
    ----------
    cell, fc
        The network's own parts; weights are shared with it.
    return_sequences, batch_first
        As of `LiquidRNN`.
    """

    def __init__(self, cell: Cell, fc: nn.Module, return_sequences: bool, batch_first: bool) -> None:
        super().__init__()
        example = next(cell.parameters()).detach()
        shapes = ((2, cell.input_size), (2, cell.state_size), (2, 1))
        traced = torch.jit.trace(_Step(cell), tuple(example.new_ones(shape) for shape in shapes), check_trace=False)  # type: ignore[no-untyped-call]
        self.step = traced
        self.fc = fc
        self.return_sequences = return_sequences
        self.time_axis = 1 if batch_first else 0
        self.state_size = cell.state_size

    def forward(
        self, inputs: Tensor, hx: Tensor | None = None, timespans: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Outputs and the last hidden state, as of `LiquidRNN`."""
        steps = inputs.unbind(self.time_axis)
        if timespans is None:
            spans = torch.ones_like(inputs[:, :, 0]).unbind(self.time_axis)
        else:
            spans = timespans.reshape(inputs.shape[:2]).unbind(self.time_axis)
        state = torch.zeros_like(steps[0][:, :1]).repeat(1, self.state_size) if hx is None else hx
        outputs: list[Tensor] = []
        for index in range(len(steps)):
            output, state = self.step(steps[index], state, spans[index].unsqueeze(1))
            outputs.append(output)
        result = torch.stack(outputs, self.time_axis) if self.return_sequences else outputs[-1]
        return self.fc(result), state


class _Step(nn.Module):
    """One step of a cell with the cell's own parameters, and nothing that depends on the batch's size."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, inputs: Tensor, hx: Tensor, elapsed_time: Tensor) -> tuple[Tensor, Tensor]:
        return self.cell.step(self.cell.own_parameters(), inputs, hx, elapsed_time)


__all__ = ["ScriptableRNN"]
