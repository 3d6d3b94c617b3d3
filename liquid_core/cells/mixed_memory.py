"""Mixed memory: a liquid cell with an LSTM's memory beside it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from liquid_core.cells.base import Cell, scoped
from liquid_core.cells.elementary import linear, sigmoid
from liquid_core.cells.initial import linear_layer
from liquid_core.types import Parameters


class LSTMMemory(nn.Module):
    """The LSTM that carries what a liquid cell's own dynamics would forget.

    Its parameters bear the names of `ncps`'s: `input_map` with a bias, `recurrent_map` without.

    Parameters
    ----------
    input_size, hidden_size
        Values in one input; neurons of the cell that it accompanies.
    generator
        Source of the initial weights; torch's global one by default.
    """

    def __init__(self, input_size: int, hidden_size: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.input_map = linear_layer(generator, input_size, 4 * hidden_size)
        self.recurrent_map = linear_layer(generator, hidden_size, 4 * hidden_size, bias=False)
        nn.init.xavier_uniform_(self.input_map.weight, generator=generator)
        nn.init.uniform_(self.input_map.bias, -0.1, 0.1, generator=generator)
        nn.init.orthogonal_(self.recurrent_map.weight, generator=generator)

    def step(self, parameters: Parameters, inputs: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """New `h` and `c` ``(batch, hidden)``, the forget gate's bias raised by 1 (Jozefowicz et al. 2015)."""
        z = linear(inputs, parameters["input_map.weight"], parameters["input_map.bias"])
        z = z + linear(h, parameters["recurrent_map.weight"])
        candidate, input_gate, forget_gate, output_gate = z.chunk(4, dim=1)
        c = c * sigmoid(forget_gate + 1.0) + torch.tanh(candidate) * sigmoid(input_gate)
        return torch.tanh(c) * sigmoid(output_gate), c


class MixedMemory(Cell):
    """Any cell, its hidden state passed through an LSTM before each of its steps.

    The hidden state is ``[h, c]`` in one tensor, ``(batch, 2 * the cell's state)``. The order, memory before cell on
    the same input, is that of `ncps` for torch; the paper's mmRNN feeds the memory's output to the cell as its input.

    Parameters
    ----------
    cell
        The liquid cell.
    generator
        Source of the memory's initial weights; torch's global one by default.

    References
    ----------
    Lechner & Hasani 2022, Mixed-memory RNNs for learning long-term dependencies in irregularly-sampled time series.
    """

    def __init__(self, cell: Cell, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.cell = cell
        self.lstm = LSTMMemory(cell.input_size, cell.state_size, generator=generator)
        self.input_size = cell.input_size
        self.state_size = 2 * cell.state_size
        self.output_size = cell.output_size

    def prepare(self, parameters: Parameters) -> Parameters:
        """The cell's own preparation; the memory needs none."""
        own = self.cell.prepare(scoped(parameters, "cell"))
        return dict(parameters) | {f"cell.{name}": value for name, value in own.items()}

    def advance(self, prepared: Parameters, inputs: Tensor, hx: Tensor, elapsed_time: Tensor) -> tuple[Tensor, Tensor]:
        h, c = hx.chunk(2, dim=1)
        h, c = self.lstm.step(scoped(prepared, "lstm"), inputs, h, c)
        output, h = self.cell.advance(scoped(prepared, "cell"), inputs, h, elapsed_time)
        return output, torch.cat([h, c], dim=1)

    def parameter_masks(self) -> dict[str, Tensor]:
        return {f"cell.{name}": mask for name, mask in self.cell.parameter_masks().items()}

    def arrange(self, parameters: Parameters) -> Tensor:
        """The cell's, as it arranges them, and the memory's behind them."""
        memory = [value.reshape(-1) for value in scoped(parameters, "lstm").values()]
        return torch.cat([self.cell.arrange(scoped(parameters, "cell")), *memory])

    def constrain(self, parameters: Parameters) -> Parameters:
        inner = self.cell.constrain(scoped(parameters, "cell"))
        return dict(parameters) | {f"cell.{name}": value for name, value in inner.items()}


__all__ = ["LSTMMemory", "MixedMemory"]
