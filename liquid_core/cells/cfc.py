"""CfC: the closed-form continuous-time cell.

Hasani et al. 2022, Closed-form continuous-time neural networks. Instead of solving an ODE it interpolates between two
states by a gate that depends on the elapsed time (Eq. 4), or evaluates the closed form itself (mode "pure", Eq. 2).
"""

from __future__ import annotations

import itertools
import re
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liquid_core.cells.activations import Activation, activation
from liquid_core.cells.base import Cell
from liquid_core.cells.elementary import linear, sigmoid
from liquid_core.cells.initial import linear_layer, xavier
from liquid_core.errors import ShapeError, SpecError
from liquid_core.types import Parameters

Mode = Literal["default", "pure", "no_gate"]


class CfCCell(Cell):
    """One step of a closed-form continuous-time network.

    With z the backbone's features of ``[x, h]``, t the elapsed time, and f1 = tanh(ff1(z)), f2 = tanh(ff2(z)):

    * "default": h' = (1 - g) f1 + g f2, gate g = σ(t · time_a(z) + time_b(z));
    * "no_gate": h' = f1 + g f2;
    * "pure": h' = A - A exp(-t (\\|w_tau\\| + \\|ff1(z)\\|)) ff1(z).

    Parameters
    ----------
    input_size
        Values in one input.
    hidden_size
        Neurons.
    mode
        Which of the three.
    backbone_activation, backbone_units, backbone_layers
        The multi-layer perceptron between ``[x, h]`` and the heads; with 0 layers the heads see ``[x, h]`` itself.
    backbone_dropout
        Dropped fraction of each backbone layer's units, in training; one layer is enough for it to work.
    sparsity_mask
        ``(hidden_size, width of z)``: weights of ff1 and ff2 to keep.
    masked_time_gates
        Whether the mask also holds for the time gates, which `ncps` leaves whole.
    generator
        Source of the initial weights; torch's global one by default.
    """

    sparsity_mask: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        mode: Mode = "default",
        backbone_activation: Activation = "lecun_tanh",
        backbone_units: int = 128,
        backbone_layers: int = 1,
        backbone_dropout: float = 0.0,
        sparsity_mask: Tensor | None = None,
        *,
        masked_time_gates: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for field, value in (
            ("input_size", input_size),
            ("hidden_size", hidden_size),
            ("backbone_units", backbone_units),
        ):
            if value < 1:
                raise SpecError(f"`{field}` must be at least 1: got {value!r}.")
        if mode not in ("default", "pure", "no_gate"):
            raise SpecError(f'`mode` must be "default", "pure" or "no_gate": got {mode!r}.')
        if backbone_layers < 0:
            raise SpecError(f"`backbone_layers` must be at least 0: got {backbone_layers!r}.")
        if not 0.0 <= backbone_dropout < 1.0:
            raise SpecError(f"`backbone_dropout` must lie in [0, 1): got {backbone_dropout!r}.")
        self.input_size = input_size
        self.state_size = self.output_size = self.hidden_size = hidden_size
        self.mode = mode
        self.backbone_layers = backbone_layers
        self.backbone_dropout = backbone_dropout
        self._activation = activation(backbone_activation)
        width = input_size + hidden_size if backbone_layers == 0 else backbone_units
        if sparsity_mask is not None and sparsity_mask.shape != (hidden_size, width):
            raise ShapeError(f"`sparsity_mask` must be ({hidden_size}, {width}): got {tuple(sparsity_mask.shape)}.")
        self.register_buffer(
            "sparsity_mask", None if sparsity_mask is None else sparsity_mask.abs().to(torch.get_default_dtype())
        )
        self.heads = ("ff1",) if mode == "pure" else ("ff1", "ff2", "time_a", "time_b")
        self._masked_heads = self.heads if masked_time_gates else self.heads[:2]
        self._draw_parameters(generator, width, backbone_units)

    def _draw_parameters(self, generator: torch.Generator | None, width: int, backbone_units: int) -> None:
        hidden = self.hidden_size
        widths = [self.input_size + hidden] + [backbone_units] * self.backbone_layers
        layers = [linear_layer(generator, *pair) for pair in itertools.pairwise(widths)]
        if self.mode == "pure":
            self.w_tau = nn.Parameter(torch.zeros(1, hidden))
            self.A = nn.Parameter(torch.ones(1, hidden))
        if layers:
            # Every second place: state dicts of ncps count the activation between two layers.
            self.backbone = nn.ModuleDict({str(2 * index): layer for index, layer in enumerate(layers)})
        heads = [linear_layer(generator, width, hidden) for _ in self.heads]
        for name, head in zip(self.heads, heads, strict=True):
            self.add_module(name, head)
        if self.mode == "pure":
            # ncps draws these two as if they were weight matrices and so loses their ones and zeros. We keep those, and
            # spend its draws, so that all other weights agree with it.
            xavier(generator, torch.empty(1, hidden), torch.empty(1, hidden))
        xavier(generator, *(layer.weight for layer in layers + heads))

    def prepare(self, parameters: Parameters) -> Parameters:
        """The heads, masked, as one matrix: a single product then serves them all."""
        weights = [self._masked(parameters, name) for name in self.heads]
        return dict(parameters) | {
            "heads.weight": torch.cat(weights, dim=-2),
            "heads.bias": torch.cat([parameters[f"{name}.bias"] for name in self.heads], dim=-1),
        }

    def advance(self, prepared: Parameters, inputs: Tensor, hx: Tensor, elapsed_time: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.cat([inputs, hx], dim=1)
        for layer in range(self.backbone_layers):
            name = f"backbone.{2 * layer}"
            z = self._activation(linear(z, prepared[f"{name}.weight"], prepared[f"{name}.bias"]))
            if self.backbone_dropout:
                z = F.dropout(z, self.backbone_dropout, self.training)
        heads = linear(z, prepared["heads.weight"], prepared["heads.bias"])
        if self.mode == "pure":
            new = self._closed_form(prepared, heads, elapsed_time)
        else:
            new = self._interpolation(heads, elapsed_time)
        return new, new

    def _interpolation(self, heads: Tensor, elapsed_time: Tensor) -> Tensor:
        start, end, speed, shift = heads.chunk(4, dim=1)
        gate = sigmoid(elapsed_time * speed + shift)
        start, end = torch.tanh(start), torch.tanh(end)
        if self.mode == "no_gate":
            return start + gate * end
        return start * (1.0 - gate) + gate * end

    def _closed_form(self, parameters: Parameters, f: Tensor, elapsed_time: Tensor) -> Tensor:
        # Shapes (1, hidden) or (batch, 1, hidden).
        w_tau, target = parameters["w_tau"].squeeze(-2), parameters["A"].squeeze(-2)
        # |w_tau|, but with a slope of 1 at 0: it starts there, and with torch's slope of 0 it would stay there.
        rate = torch.where(w_tau >= 0, w_tau, -w_tau) + f.abs()
        return closed_form(torch.zeros_like(target), target, rate, f, elapsed_time)

    def _masked(self, parameters: Parameters, name: str) -> Tensor:
        weight = parameters[f"{name}.weight"]
        if self.sparsity_mask is not None and name in self._masked_heads:
            weight = weight * self.sparsity_mask
        return weight

    def parameter_masks(self) -> dict[str, Tensor]:
        if self.sparsity_mask is None:
            return {}
        return {f"{name}.weight": self.sparsity_mask.bool() for name in self._masked_heads}

    def arrange(self, parameters: Parameters) -> Tensor:
        """Layer after layer, each as ``(inputs, outputs)`` with its biases behind it; the heads side by side."""
        layers = [f"backbone.{2 * layer}" for layer in range(self.backbone_layers)]
        pieces = [part for name in layers for part in (parameters[f"{name}.weight"].T, parameters[f"{name}.bias"])]
        pieces.append(torch.cat([parameters[f"{name}.weight"].T for name in self.heads], dim=1))
        pieces += [parameters[f"{name}.bias"] for name in self.heads]
        if self.mode == "pure":
            pieces += [parameters["w_tau"], parameters["A"]]
        return torch.cat([piece.reshape(-1) for piece in pieces])

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        self._check_loaded_masks(state_dict, prefix, rest[-1])
        _renumber_backbone(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, mode={self.mode!r}"


def closed_form(start: Tensor, target: Tensor, rate: Tensor, gate: Tensor, elapsed_time: Tensor) -> Tensor:
    """``(start - target) exp(-rate t) gate + target``: the closed form of a liquid neuron's ODE (Eq. 2, Lemma 1).

    With rate w + f(I(t)) and gate f(-I(t)), where f lies in [0, 1], it stays within ``|start - target| exp(-w t)`` of
    the solution of x' = -(w + f(I)) x + target (w + f(I)), x(0) = start, whatever the input I did on its way.
    """
    return (start - target) * torch.exp(-elapsed_time * rate) * gate + target


def _renumber_backbone(state_dict: dict[str, Any], prefix: str) -> None:
    """Give backbone layers, in place, the numbers that they have without dropout: ncps counts dropout layers too."""
    pattern = re.compile(re.escape(prefix) + r"backbone\.(\d+)\.weight")
    numbers = sorted(int(match[1]) for key in state_dict if (match := pattern.fullmatch(key)))
    for place, number in enumerate(numbers):
        for part in ("weight", "bias"):
            value = state_dict.pop(f"{prefix}backbone.{number}.{part}")
            state_dict[f"{prefix}backbone.{2 * place}.{part}"] = value


__all__ = ["CfCCell", "Mode", "closed_form"]
