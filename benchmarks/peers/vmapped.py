"""`torch.func` over many streams: the module as it is, vmapped, with a gradient for each stream.

The modules are those of `liquid_core`: an LTC of `ncps` keeps its parameters in a dictionary of its own, where
`functional_call` cannot replace them, so that every stream would be computed with the same weights.
"""

from __future__ import annotations

from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from benchmarks.models import Model, loss
from benchmarks.peers.stacked import Program, StackedStreams, Weights

#: Streams side by side, by kind of model: of the powers of two up to 1,024, one that none beat by much.
STACK_SIZE = {"cfc": 512, "wired_cfc": 1024, "ltc": 512}


class Vmapped(Program):
    """A model's module under vmap and grad."""

    def __init__(self, model: Model) -> None:
        rnn = model.rnn(return_sequences=False)
        buffers = dict(rnn.named_buffers())

        def run(weights: Weights, inputs: Tensor, hx: Tensor) -> tuple[Tensor, Tensor]:
            """Last output and state of one stream, from inputs `(time, inputs)` and its state `(state,)`."""
            outputs, hx = functional_call(
                rnn, (dict(weights), {k: v.to(hx.dtype) for k, v in buffers.items()}), (inputs[None], hx[None])
            )
            return outputs[0, 0], hx[0]

        def stream_loss(weights: Weights, window: Tensor, hx: Tensor, target: Tensor) -> Tensor:
            return loss(run(weights, window, hx)[0], target)

        self._predict = vmap(run)
        self._gradient = vmap(grad_and_value(stream_loss), in_dims=(0, 1, 0, 0))

    def predict(self, weights: Weights, inputs: Tensor, hx: Tensor) -> tuple[Tensor, Tensor]:
        outputs, hx = self._predict(dict(weights), inputs.unsqueeze(1), hx)
        return outputs, hx

    def gradient(
        self, weights: Weights, window: Tensor, hx: Tensor, targets: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        detached = {name: value.detach() for name, value in weights.items()}
        gradients, losses = self._gradient(detached, window, hx, targets)
        return losses, gradients


def vmapped(model: Model, streams: int) -> StackedStreams:
    """Streams that vmap steps stack by stack."""
    return StackedStreams(model, Vmapped(model), streams, STACK_SIZE[model.kind])


__all__ = ["STACK_SIZE", "Vmapped", "vmapped"]
