"""The batched peers learn what `ncps` learns: their figures are of the same work."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from benchmarks.models import MODELS, NUM_INPUTS, WINDOW, Model
from benchmarks.peers.hand_batched import HandBatched
from benchmarks.peers.ncps_eager import EagerStream
from benchmarks.peers.stacked import Program, Stack, clip_each
from benchmarks.peers.vmapped import Vmapped

STREAMS = 3
models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
programs = pytest.mark.parametrize("program", [HandBatched, Vmapped])


def eager_streams(model: Model) -> list[EagerStream]:
    """Streams of `ncps` in float64, each with weights of its own."""
    torch.manual_seed(7)
    return [EagerStream(model.ncps_rnn().double(), model.units) for _ in range(STREAMS)]


def stacked(streams: list[EagerStream], program: Program) -> Stack:
    """The same streams, their weights stacked."""
    learned = [
        {name: value.detach() for name, value in stream.rnn.named_parameters() if value.requires_grad}
        for stream in streams
    ]
    weights = {name: torch.stack([one[name] for one in learned]) for name in learned[0]}
    return Stack(program, weights, streams[0].state_size)


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-8) -> None:
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@models
@programs
def test_loss_and_gradient_are_those_of_ncps(model: Model, program: Callable[[Model], Program]) -> None:
    """Each stream's loss over a window, and its gradient by every weight, agree with ncps in float64."""
    streams = eager_streams(model)
    stack = stacked(streams, program(model))
    window, targets = numbers(WINDOW, STREAMS, NUM_INPUTS, seed=1), numbers(STREAMS, seed=2)
    for inputs in window:
        predictions = stack.predict(inputs)
        close(predictions, torch.tensor([s.predict(inputs[i : i + 1]) for i, s in enumerate(streams)]).double(), 1e-6)
    hx = torch.zeros(STREAMS, model.units, dtype=torch.float64)
    losses, gradients = program(model).gradient(stack.weights, window, hx, targets)

    for index, stream in enumerate(streams):
        close(losses[index], torch.tensor(stream.gradient(targets[index]), dtype=torch.float64))
        for name, gradient in gradients.items():
            close(gradient[index], gradient_of(stream.rnn, name))


def gradient_of(rnn: nn.Module, name: str) -> Tensor:
    gradient = rnn.get_parameter(name).grad
    assert gradient is not None
    return gradient


@models
@programs
def test_updates_are_those_of_ncps(model: Model, program: Callable[[Model], Program]) -> None:
    """After some samples, stored states, clipping and Adam included, the weights are those of ncps."""
    streams = eager_streams(model)
    stack = stacked(streams, program(model))
    inputs, targets = numbers(WINDOW + 3, STREAMS, NUM_INPUTS, seed=3), 5.0 * numbers(WINDOW + 3, STREAMS, seed=4)
    for time in range(WINDOW + 3):
        if time >= WINDOW:
            stack.learn(targets[time])
        stack.predict(inputs[time])
        for index, stream in enumerate(streams):
            if time >= WINDOW:
                stream.learn(targets[time, index])
            stream.predict(inputs[time, index : index + 1])

    for name, value in stack.weights.items():
        for index, stream in enumerate(streams):
            # Adam divides by the gradient's own size: where that is rounding noise, so is the step, of up to 1e-3.
            close(value[index].detach(), stream.rnn.get_parameter(name).detach(), 1e-6)


def test_clipping_holds_each_stream_by_itself() -> None:
    """A stream with a large gradient does not shrink its neighbour's."""
    gradients = [torch.tensor([[3.0, 0.0], [0.1, 0.0]]), torch.tensor([[4.0], [0.2]])]
    clip_each(gradients, 1.0)

    torch.testing.assert_close(gradients[0], torch.tensor([[0.6, 0.0], [0.1, 0.0]]))
    torch.testing.assert_close(gradients[1], torch.tensor([[0.8], [0.2]]))


@models
def test_a_window_slides(model: Model) -> None:
    """An update unrolls the last samples only, from the state that stood before them."""
    (stream,) = eager_streams(model)[:1]
    inputs = numbers(2 * WINDOW, 1, NUM_INPUTS, seed=5)
    for one in inputs:
        stream.predict(one)
    expected, _ = stream.rnn(inputs.transpose(0, 1), torch.zeros(1, model.units, dtype=torch.float64))
    error = stream.gradient(torch.tensor(0.0, dtype=torch.float64))

    assert error == pytest.approx(0.5 * float(expected[0, -1, 0].detach()) ** 2, rel=1e-9)
