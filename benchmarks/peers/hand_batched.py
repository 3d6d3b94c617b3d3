"""Torch by hand over many streams: the cells written anew for weights that every stream has of its own.

What a good torch program comes to without kernels of its own: products with stacked weights, masks and softplus once an
update, everything that depends on inputs alone for all steps of the window at once, autograd for the way back.

Legend of shapes: S streams, T steps, M inputs, N neurons. Parameters have the names that `ncps` gives them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.models import HUBER_DELTA, Model
from benchmarks.peers.stacked import Program, StackedStreams, Weights

#: Streams side by side, by kind of model: of the powers of two up to 1,024, one that none beat by much.
STACK_SIZE = {"cfc": 64, "wired_cfc": 512, "ltc": 128}
UNFOLDS = 6

#: One step of a cell: state `(S, N)` and the step's place in the window to the state after it.
Step = Callable[[Tensor, int], Tensor]


class HandBatched(Program):
    """The models' cells over stacked weights."""

    def __init__(self, model: Model) -> None:
        self._kind = model.kind
        self._masks = {name.removeprefix("rnn_cell."): mask for name, mask in model.rnn().named_buffers()}

    def predict(self, weights: Weights, inputs: Tensor, hx: Tensor) -> tuple[Tensor, Tensor]:
        return self._run(weights, inputs.unsqueeze(0), hx)

    def gradient(
        self, weights: Weights, window: Tensor, hx: Tensor, targets: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        outputs, _ = self._run(weights, window, hx)
        losses = F.huber_loss(outputs, targets, reduction="none", delta=HUBER_DELTA)
        gradients = torch.autograd.grad(losses.sum(), tuple(weights.values()))
        return losses.detach(), dict(zip(weights, gradients, strict=True))

    def _run(self, weights: Weights, inputs: Tensor, hx: Tensor) -> tuple[Tensor, Tensor]:
        """The last output `(S,)` and the state `(S, N)` after inputs `(T, S, M)`."""
        cell = {name.removeprefix("rnn_cell."): value for name, value in weights.items()}
        masks = {name: mask.to(inputs.dtype) for name, mask in self._masks.items()}
        if self._kind == "ltc":
            step = ltc_step(cell, masks, inputs)
        elif self._kind == "wired_cfc":
            step = wired_cfc_step(cell, masks, inputs)
        else:
            step = cfc_step(cell, inputs)
        for time in range(len(inputs)):
            hx = step(hx, time)
        if self._kind == "ltc":
            return hx[:, 0] * cell["output_w"][:, 0] + cell["output_b"][:, 0], hx
        if self._kind == "wired_cfc":
            return hx[:, -1], hx  # the layers lie in order, and the last one is the one motor neuron
        return product(cell["fc.weight"], hx)[:, 0] + cell["fc.bias"][:, 0], hx


def product(weight: Tensor, vector: Tensor) -> Tensor:
    """`(S, out)` from weights `(S, out, in)` and vectors `(S, in)`."""
    # As fast forward as torch.bmm and two to three times faster with the way back, in stacks that fit the cache.
    return (weight * vector.unsqueeze(1)).sum(2)


def input_products(weight: Tensor, bias: Tensor, inputs: Tensor) -> tuple[Tensor, ...]:
    """``weight x + bias`` for every step: T times `(S, out)`, from `(S, out, M)`, `(S, out)` and `(T, S, M)`."""
    return torch.baddbmm(bias.unsqueeze(1), inputs.transpose(0, 1), weight.transpose(1, 2)).unbind(1)


def cfc_step(cell: Weights, inputs: Tensor) -> Step:
    """The dense cell: backbone of one layer, four heads."""
    width = inputs.shape[2]
    weight = cell["backbone.0.weight"]
    from_inputs = input_products(weight[:, :, :width], cell["backbone.0.bias"], inputs)
    recurrent = weight[:, :, width:]
    heads, shift = heads_of(cell)

    def step(hx: Tensor, time: int) -> Tensor:
        z = 1.7159 * torch.tanh(0.666 * (from_inputs[time] + product(recurrent, hx)))
        return interpolate(product(heads, z) + shift)

    return step


def wired_cfc_step(cell: Weights, masks: Weights, inputs: Tensor) -> Step:
    """Closed-form cells in layers, each fed by the one before; without backbones."""
    layers = []
    for index in range(len(masks)):
        prefix = f"layer_{index}."
        own = {name.removeprefix(prefix): value for name, value in cell.items() if name.startswith(prefix)}
        layers.append(heads_of(own, masks[f"{prefix}sparsity_mask"]))
    sizes = [heads.shape[1] // 4 for heads, _ in layers]
    width = inputs.shape[2]
    first, shift = layers[0]
    from_inputs = input_products(first[:, :, :width], shift, inputs)
    recurrent = first[:, :, width:]

    def step(hx: Tensor, time: int) -> Tensor:
        states = torch.split(hx, sizes, dim=1)
        signal = interpolate(from_inputs[time] + product(recurrent, states[0]))
        after = [signal]
        for (heads, shift), state in zip(layers[1:], states[1:], strict=True):
            signal = interpolate(product(heads, torch.cat([signal, state], dim=1)) + shift)
            after.append(signal)
        return torch.cat(after, dim=1)

    return step


def heads_of(cell: Weights, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The four heads as one matrix `(S, 4 N, width)`, the first two masked, and its biases `(S, 4 N)`."""
    names = ("ff1", "ff2", "time_a", "time_b")
    weights = [cell[f"{name}.weight"] for name in names]
    if mask is not None:
        weights[:2] = [weight * mask for weight in weights[:2]]
    return torch.cat(weights, dim=1), torch.cat([cell[f"{name}.bias"] for name in names], dim=1)


def interpolate(heads: Tensor) -> Tensor:
    """The state `(S, N)` that heads `(S, 4 N)` say, one unit of time after the last."""
    start, end, speed, shift = heads.chunk(4, dim=1)
    return torch.lerp(torch.tanh(start), torch.tanh(end), torch.sigmoid(speed + shift))


def ltc_step(cell: Weights, masks: Weights, inputs: Tensor) -> Step:
    """The liquid time-constant cell, conductances dense and masked as in `ncps`."""
    mapped = inputs * cell["input_w"] + cell["input_b"]
    sensory = Synapses(cell, masks, "sensory_")
    recurrent = Synapses(cell, masks, "")
    sensory_conductance, sensory_current = sensory.open(mapped)
    gleak, capacity = F.softplus(cell["gleak"]), UNFOLDS * F.softplus(cell["cm"])
    constant_conductance = (sensory_conductance + (gleak + capacity + 1e-8)).unbind()
    constant_current = (sensory_current + gleak * cell["vleak"]).unbind()

    def step(hx: Tensor, time: int) -> Tensor:
        for _ in range(UNFOLDS):
            conductance, current = recurrent.open(hx)
            current = torch.addcmul(current + constant_current[time], capacity, hx)
            hx = current / (conductance + constant_conductance[time])
        return hx

    return step


class Synapses:
    """All synapses of one kind, ready to use: `(S, sources, N)`."""

    def __init__(self, cell: Weights, masks: Weights, prefix: str) -> None:
        sigma, mu, w, erev = (cell[prefix + name] for name in ("sigma", "mu", "w", "erev"))
        self._sigma = sigma
        self._shift = -sigma * mu
        self._conductance = F.softplus(w) * masks[f"{prefix}sparsity_mask"]
        self._current = self._conductance * erev

    def open(self, potentials: Tensor) -> tuple[Tensor, Tensor]:
        """Conductance and current into each neuron, `(..., S, N)`, from potentials `(..., S, sources)`."""
        gate = torch.sigmoid(torch.addcmul(self._shift, self._sigma, potentials.unsqueeze(-1)))
        return (gate * self._conductance).sum(-2), (gate * self._current).sum(-2)


def hand_batched(model: Model, streams: int) -> StackedStreams:
    """Streams that torch steps stack by stack."""
    return StackedStreams(model, HandBatched(model), streams, STACK_SIZE[model.kind])


__all__ = ["STACK_SIZE", "HandBatched", "hand_batched"]
