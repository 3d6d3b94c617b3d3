"""Liquid networks over sequences: a cell, scanned over time.

`LiquidRNN` takes any cell. `LTC` and `CfC` build the cell themselves, with the arguments of the classes of that name in
`ncps`, and load its state dicts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from liquid_core.cells import Cell, CfCCell, LTCCell, MixedMemory, WiredCfCCell
from liquid_core.cells.activations import Activation
from liquid_core.cells.cfc import Mode
from liquid_core.cells.initial import linear_layer
from liquid_core.cells.ltc import Mapping
from liquid_core.errors import ShapeError, SpecError
from liquid_core.scripting import ScriptableRNN
from liquid_core.wiring import BuiltWiring, FullyConnected, Wiring

#: A hidden state; a pair (h, c) of them where the memory is mixed.
Hidden = Tensor | tuple[Tensor, Tensor]


class LiquidRNN(nn.Module):
    """Scans a cell over sequences.

    Parameters
    ----------
    cell
        Any cell; it becomes the attribute `rnn_cell`.
    return_sequences
        Whether to return the outputs of all steps, or of the last one only.
    batch_first
        Whether the first axis is the batch, or time.
    proj_size
        Width that a final linear layer `fc` maps each output to; no such layer by default.
    generator
        Source of that layer's initial weights; torch's global one by default.

    Examples
    --------
    >>> import torch
    >>> from liquid_core import AutoNCP, LiquidRNN, LTCCell
    >>> rnn = LiquidRNN(LTCCell(AutoNCP(16, 2), 3, implicit_param_constraints=True))
    >>> outputs, hx = rnn(torch.randn(5, 7, 3), timespans=torch.rand(5, 7))
    >>> outputs.shape, hx.shape
    (torch.Size([5, 7, 2]), torch.Size([5, 16]))
    """

    def __init__(
        self,
        cell: Cell,
        *,
        return_sequences: bool = True,
        batch_first: bool = True,
        proj_size: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.rnn_cell = cell
        self.return_sequences = return_sequences
        self.batch_first = batch_first
        self.proj_size = proj_size
        self.fc = nn.Identity() if proj_size is None else linear_layer(generator, cell.output_size, proj_size)

    @property
    def input_size(self) -> int:
        """Values in one input."""
        return self.rnn_cell.input_size

    @property
    def state_size(self) -> int:
        """Values in a hidden state."""
        return self.rnn_cell.state_size

    @property
    def output_size(self) -> int:
        """Values in an output."""
        return self.rnn_cell.output_size if self.proj_size is None else self.proj_size

    def forward(
        self, inputs: Tensor, hx: Hidden | None = None, timespans: Tensor | float | None = None
    ) -> tuple[Tensor, Hidden]:
        """Outputs of a sequence, and the hidden state that it leaves behind.

        Parameters
        ----------
        inputs
            ``(batch, time, inputs)``; ``(time, batch, inputs)`` unless `batch_first`; one sequence ``(time, inputs)``.
        hx
            ``(batch, state)``, for one sequence ``(state,)``; zeros by default.
        timespans
            Time since the previous step: one number, or laid out as `inputs` is, ``(batch, time)`` or
            ``(batch, time, 1)`` (``(time,)`` or ``(time, 1)`` for one sequence); 1.0 by default.

        Returns
        -------
        outputs, hx
            Outputs are laid out as `inputs` is; without `return_sequences` they have no time axis.

        Raises
        ------
        ShapeError
            A tensor has another shape than that, or the sequence is empty.
        """
        if inputs.dim() not in (2, 3) or inputs.shape[-1] != self.input_size:
            raise ShapeError(
                f"`inputs` must be (batch, time, {self.input_size}), or (time, {self.input_size}) for one sequence: "
                f"got {tuple(inputs.shape)}."
            )
        spans = _spans(timespans, inputs)
        alone = inputs.dim() == 2
        if alone:
            inputs, spans = inputs.unsqueeze(0), spans.unsqueeze(0)
        time_axis = 1 if self.batch_first or alone else 0
        if inputs.shape[time_axis] == 0:
            raise ShapeError("`inputs` holds no time step. Leave empty sequences out.")

        steps = inputs.unbind(time_axis)
        state = self._initial(hx, steps[0], alone)
        prepared = self.rnn_cell.prepare(self.rnn_cell.own_parameters())
        outputs: list[Tensor] = []
        for step, span in zip(steps, spans.unbind(time_axis), strict=True):
            output, state = self.rnn_cell.advance(prepared, step, state, span.unsqueeze(1))
            outputs.append(output)
        result = self.fc(torch.stack(outputs, dim=time_axis) if self.return_sequences else outputs[-1])
        return (result.squeeze(0), state.squeeze(0)) if alone else (result, state)

    def _initial(self, hx: Hidden | None, inputs: Tensor, alone: bool) -> Tensor:
        """The first hidden state, ``(batch, state)``."""
        if hx is None:
            return self.rnn_cell.initial_hx(inputs)
        if not isinstance(hx, Tensor):
            hx = torch.cat(hx, dim=-1)
        wanted = (self.state_size,) if alone else (inputs.shape[0], self.state_size)
        if hx.shape != wanted:
            raise ShapeError(f"`hx` must be {wanted}: got {tuple(hx.shape)}.")
        return hx.unsqueeze(0) if alone else hx

    def __prepare_scriptable__(self) -> nn.Module:
        """What `torch.jit.script` compiles in place of this module."""
        return ScriptableRNN(self.rnn_cell, self.fc, self.return_sequences, self.batch_first)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        # ncps keeps a mixed memory beside the cell; here it stands around it.
        if isinstance(self.rnn_cell, MixedMemory):
            inside = (f"{prefix}rnn_cell.cell.", f"{prefix}rnn_cell.lstm.")
            for key in list(state_dict):
                if key.startswith(f"{prefix}lstm."):
                    state_dict[inside[1] + key.removeprefix(f"{prefix}lstm.")] = state_dict.pop(key)
                elif key.startswith(f"{prefix}rnn_cell.") and not key.startswith(inside):
                    state_dict[inside[0] + key.removeprefix(f"{prefix}rnn_cell.")] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _spans(timespans: Tensor | float | None, inputs: Tensor) -> Tensor:
    """Elapsed times, laid out as `inputs` is, without its last axis."""
    layout = inputs.shape[:-1]
    spans = torch.as_tensor(1.0 if timespans is None else timespans, dtype=inputs.dtype, device=inputs.device)
    if spans.dim() == 0:
        return spans.expand(layout)
    if spans.shape not in (layout, (*layout, 1)):
        raise ShapeError(
            f"`timespans` must be a number, {tuple(layout)} or {(*layout, 1)}, laid out as `inputs` is: "
            f"got {tuple(spans.shape)}."
        )
    return spans.reshape(layout)


class _NamedRNN(LiquidRNN):
    """What `LTC` and `CfC` share: with a mixed memory the hidden state is a pair (h, c), as it is in `ncps`."""

    def __init__(self, cell: Cell, mixed_memory: bool, **kwargs: Any) -> None:
        super().__init__(MixedMemory(cell) if mixed_memory else cell, **kwargs)
        self.use_mixed = mixed_memory

    def forward(
        self, inputs: Tensor, hx: Hidden | None = None, timespans: Tensor | float | None = None
    ) -> tuple[Tensor, Hidden]:
        if hx is not None and isinstance(hx, Tensor) == self.use_mixed:
            rule = "a pair (h, c) with" if self.use_mixed else "one tensor without"
            raise ShapeError(f"`hx` must be {rule} `mixed_memory`: got {type(hx).__name__}.")
        outputs, state = super().forward(inputs, hx, timespans)
        if self.use_mixed and isinstance(state, Tensor):
            h, c = state.chunk(2, dim=-1)
            return outputs, (h, c)
        return outputs, state


class LTC(_NamedRNN):
    """A liquid time-constant network over sequences.

    Parameters
    ----------
    input_size
        Values in one input.
    units
        A wiring, or a number of fully connected neurons.
    return_sequences, batch_first
        As of `LiquidRNN`.
    mixed_memory
        Whether an LSTM's memory stands beside the cell.
    input_mapping, output_mapping, ode_unfolds, epsilon, implicit_param_constraints
        As of `LTCCell`.
    """

    def __init__(
        self,
        input_size: int,
        units: int | Wiring | BuiltWiring,
        return_sequences: bool = True,
        batch_first: bool = True,
        mixed_memory: bool = False,
        input_mapping: Mapping = "affine",
        output_mapping: Mapping = "affine",
        ode_unfolds: int = 6,
        epsilon: float = 1e-8,
        implicit_param_constraints: bool = True,
    ) -> None:
        wiring = units if isinstance(units, Wiring | BuiltWiring) else FullyConnected(units)
        cell = LTCCell(
            wiring, input_size, input_mapping, output_mapping, ode_unfolds, epsilon, implicit_param_constraints
        )
        super().__init__(cell, mixed_memory, return_sequences=return_sequences, batch_first=batch_first)
        self.wiring = cell.wiring

    @property
    def synapse_count(self) -> int:
        """Synapses between neurons."""
        return self.wiring.synapse_count

    @property
    def sensory_synapse_count(self) -> int:
        """Synapses from inputs to neurons."""
        return self.wiring.sensory_synapse_count

    def apply_weight_constraints(self) -> None:
        """With explicit constraints: clip conductances and capacitances at 0; call it after each optimiser step."""
        cell = self.rnn_cell.cell if isinstance(self.rnn_cell, MixedMemory) else self.rnn_cell
        if isinstance(cell, LTCCell):
            cell.apply_weight_constraints()


class CfC(_NamedRNN):
    """A closed-form continuous-time network over sequences.

    Parameters
    ----------
    input_size
        Values in one input.
    units
        A wiring (layers of closed-form cells), or a number of neurons (one dense cell with a backbone).
    proj_size, return_sequences, batch_first
        As of `LiquidRNN`.
    mixed_memory
        Whether an LSTM's memory stands beside the cell.
    mode
        As of `CfCCell`.
    activation, backbone_units, backbone_layers, backbone_dropout
        The dense cell's backbone, by default one layer of 128 units without dropout; a wired one has none.

    Raises
    ------
    SpecError
        A backbone is asked for together with a wiring.
    """

    def __init__(
        self,
        input_size: int,
        units: int | Wiring | BuiltWiring,
        proj_size: int | None = None,
        return_sequences: bool = True,
        batch_first: bool = True,
        mixed_memory: bool = False,
        mode: Mode = "default",
        activation: Activation = "lecun_tanh",
        backbone_units: int | None = None,
        backbone_layers: int | None = None,
        backbone_dropout: float | None = None,
    ) -> None:
        cell: Cell
        if not isinstance(units, Wiring | BuiltWiring):
            cell = CfCCell(
                input_size,
                units,
                mode,
                activation,
                128 if backbone_units is None else backbone_units,
                1 if backbone_layers is None else backbone_layers,
                0.0 if backbone_dropout is None else backbone_dropout,
            )
        else:
            backbone = {
                "activation": None if activation == "lecun_tanh" else activation,
                "backbone_units": backbone_units,
                "backbone_layers": backbone_layers,
                "backbone_dropout": backbone_dropout,
            }
            given = [f"`{name}`" for name, value in backbone.items() if value is not None]
            if given:
                raise SpecError(f"{', '.join(given)} must be left out with a wiring: its layers have no backbone.")
            cell = WiredCfCCell(input_size, units, mode)
        super().__init__(
            cell, mixed_memory, proj_size=proj_size, return_sequences=return_sequences, batch_first=batch_first
        )


__all__ = ["LTC", "CfC", "Hidden", "LiquidRNN"]
