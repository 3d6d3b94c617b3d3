"""Streams side by side in torch: weights stacked along a leading axis, one optimiser for all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from benchmarks.models import CLIP_NORM, LEARNING_RATE, WINDOW, Model
from benchmarks.peers.batches import PeerBatch, random_batch

#: Stacked weights by name, each `(streams, *shape)`.
Weights = Mapping[str, Tensor]


class Program(ABC):
    """How the streams' networks are computed: the part in which the batched peers differ."""

    @abstractmethod
    def predict(self, weights: Weights, inputs: Tensor, hx: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs `(streams,)` and states `(streams, state)` after one step over inputs `(streams, inputs)`."""

    @abstractmethod
    def gradient(
        self, weights: Weights, window: Tensor, hx: Tensor, targets: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Each stream's loss at the end of its window, and its gradient.

        Parameters
        ----------
        window
            ``(time, streams, inputs)``.
        hx
            States before it, ``(streams, state)``.
        targets
            ``(streams,)``.

        Returns
        -------
        Losses ``(streams,)`` and gradients of the shapes of `weights`.
        """


class Stack:
    """Some streams with stacked weights, which a program steps together.

    Parameters
    ----------
    weights
        Initial weights by name, ``(streams, *shape)``.
    state_size
        Values in a hidden state.
    """

    def __init__(self, program: Program, weights: Weights, state_size: int) -> None:
        self._program = program
        self.weights = {name: nn.Parameter(value.clone()) for name, value in weights.items()}
        self.optimizer = torch.optim.Adam(self.weights.values(), lr=LEARNING_RATE, fused=True)
        some = next(iter(weights.values()))
        self._hx = some.new_zeros(len(some), state_size)
        self._inputs: deque[Tensor] = deque(maxlen=WINDOW)
        #: Hidden states before each of them.
        self._states: deque[Tensor] = deque(maxlen=WINDOW)

    def predict(self, inputs: Tensor) -> Tensor:
        """Move over samples `(streams, inputs)` and answer them, `(streams,)`."""
        self._inputs.append(inputs)
        self._states.append(self._hx)
        with torch.no_grad():
            outputs, self._hx = self._program.predict(self.weights, inputs, self._hx)
        return outputs

    def learn(self, targets: Tensor) -> None:
        """One update a stream from what the windows' last outputs should have been, `(streams,)`."""
        window = torch.stack(tuple(self._inputs))
        _, gradients = self._program.gradient(self.weights, window, self._states[0], targets)
        for name, value in self.weights.items():
            # The fused Adam walks weight and gradient as they lie in memory, whatever their strides say.
            value.grad = gradients[name].contiguous()
        clip_each([value.grad for value in self.weights.values() if value.grad is not None], CLIP_NORM)
        self.optimizer.step()

    @property
    def bytes_per_stream(self) -> int:
        """Weights, Adam's moments, hidden states and the window."""
        kept = self._hx.numel() + sum(tensor.numel() for tensor in (*self._inputs, *self._states))
        return 4 * (3 * self.num_params + kept // len(self._hx))

    @property
    def num_params(self) -> int:
        return sum(value[0].numel() for value in self.weights.values())


def clip_each(gradients: Sequence[Tensor], limit: float) -> None:
    """Scale gradients `(streams, *shape)`, in place, to a global norm of at most `limit` for each stream."""
    norms = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients]
    norm = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    factor = (limit / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_ has it
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.dim() - 1)))


class StackedStreams:
    """Many streams, in stacks small enough for their intermediate values to stay in the cache.

    Parameters
    ----------
    stack_size
        Streams in one stack, at most.
    """

    def __init__(self, model: Model, program: Program, streams: int, stack_size: int) -> None:
        torch.manual_seed(0)
        rnn = model.rnn()
        self._sizes = [min(stack_size, streams - start) for start in range(0, streams, stack_size)]
        self._stacks = [
            Stack(
                program,
                {name: value.detach().expand(size, *value.shape) for name, value in rnn.named_parameters()},
                model.units,
            )
            for size in self._sizes
        ]
        self._generator = torch.Generator().manual_seed(1)
        self.samples_per_batch = streams
        for batch in self.batches(WINDOW):
            for stack, inputs in zip(self._stacks, torch.split(batch.inputs, self._sizes), strict=True):
                stack.predict(inputs)
        self.bytes_per_stream = self._stacks[0].bytes_per_stream
        self.num_params = self._stacks[0].num_params

    def batches(self, count: int) -> Sequence[PeerBatch]:
        return [random_batch(self.samples_per_batch, self._generator) for _ in range(count)]

    def step(self, batch: PeerBatch) -> None:
        inputs, targets = torch.split(batch.inputs, self._sizes), torch.split(batch.targets, self._sizes)
        for stack, its_inputs, its_targets in zip(self._stacks, inputs, targets, strict=True):
            stack.learn(its_targets)
            stack.predict(its_inputs)


__all__ = ["Program", "Stack", "StackedStreams", "Weights", "clip_each"]
