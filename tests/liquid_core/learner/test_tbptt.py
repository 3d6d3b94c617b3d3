"""TBPTT: the gradient of a window is that of the cell written out over it, and that of finite differences."""

from __future__ import annotations

from typing import Literal, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from liquid_core import ModelSpec
from liquid_core.learner.network import Network
from liquid_core.learner.tbptt import Lesson, Unrolled, learn_window
from liquid_core.spec import AutoNCPSpec, CfCSpec, LTCSpec, WiredCfCSpec

INPUTS, BATCH = 3, 3
NCP = AutoNCPSpec(units=7, outputs=2)
CELLS = {
    "cfc": (CfCSpec(units=4, backbone_units=5), None),
    "cfc-pure": (CfCSpec(units=4, backbone_units=5, mode="pure", activation="silu"), None),
    "cfc-mixed": (CfCSpec(units=4, backbone_units=5, mixed_memory=True), None),
    "wired-cfc": (WiredCfCSpec(), NCP),
    "ltc": (LTCSpec(ode_unfolds=3), NCP),
    "ltc-mixed": (LTCSpec(ode_unfolds=2, mixed_memory=True), NCP),
}
Task = Literal["residual", "class"]


class Case(NamedTuple):
    """Everything that `learn_window` is given; two horizons of two targets each."""

    network: Network
    weights: Tensor
    readout: Tensor
    stretches: list[Unrolled]
    offset: Tensor
    targets: Tensor
    known: Tensor
    importance: Tensor


def case(cell: str, stretches: tuple[tuple[int, tuple[int, ...]], ...], seed: int = 0) -> Case:
    """Random streams with weights of their own; each stretch is its length and its anchors."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    spec = ModelSpec(task="forecast", features=("a",), cell=CELLS[cell][0], wiring=CELLS[cell][1])  # type: ignore[arg-type]
    network = Network(spec, INPUTS, torch.float64)
    outputs = 2 * sum(len(anchors) for _, anchors in stretches)
    return Case(
        network=network,
        weights=network.initial_weights + 0.1 * noise(BATCH, network.packing.size),
        readout=0.5 * noise(BATCH, outputs, network.sizes.readout_features),
        stretches=[
            Unrolled(
                hidden=0.3 * noise(BATCH, network.sizes.state_size),
                inputs=noise(BATCH, length, INPUTS),
                elapsed=noise(BATCH, length).abs(),
                exists=torch.ones(BATCH, length, dtype=torch.bool),
                anchors=anchors,
            )
            for length, anchors in stretches
        ],
        offset=noise(BATCH, outputs),
        targets=2 * noise(BATCH, outputs),
        known=noise(BATCH, outputs) < 0.7,
        importance=noise(outputs).abs(),
    )


def learn(case: Case, task: Task = "residual") -> Lesson:
    return learn_window(*case, task)


def plain_loss(case: Case, stream: int, weights: Tensor) -> Tensor:
    """One stream's loss, written out: run each stretch, read out at its anchors, weigh the known targets."""
    cell = case.network.cell
    parameters = {name: value[0] for name, value in case.network.packing.unpack(weights[None]).items()}
    seen = []
    for stretch in case.stretches:
        h = stretch.hidden[stream : stream + 1]
        for step in range(stretch.inputs.shape[1]):
            x = stretch.inputs[stream : stream + 1, step]
            if stretch.exists[stream, step]:
                y, h = cell.step(parameters, x, h, stretch.elapsed[stream : stream + 1, step, None])
            if step in stretch.anchors:
                seen.append(torch.cat([y[0], torch.ones(1).double()]))
    losses, shares = [], []
    for output in range(case.targets.shape[1]):
        features = seen[len(seen) - 1 - output // 2]  # the first outputs belong to the newest sample
        if case.known[stream, output]:
            prediction = case.offset[stream, output] + case.readout[stream, output] @ features
            losses.append(F.huber_loss(prediction, case.targets[stream, output], delta=3.0))
            shares.append(case.importance[output])
    if not losses:
        return 0.0 * weights.sum()
    return (torch.stack(losses) * torch.stack(shares)).sum() / torch.stack(shares).sum()


ONE, TWO, JOINED = ((4, (3,)),), ((4, (3,)), (4, (3,))), ((7, (3, 6)),)


@pytest.mark.parametrize("stretches", [ONE, TWO, JOINED], ids=["one", "apart", "joined"])
@pytest.mark.parametrize("cell", list(CELLS))
def test_the_gradient_is_that_of_the_cell_written_out(
    cell: str, stretches: tuple[tuple[int, tuple[int, ...]], ...]
) -> None:
    """Loss and gradient of every stream equal those of a plain loop over its samples, to 1e-10."""
    given = case(cell, stretches)
    lesson = learn(given)

    for stream in range(BATCH):
        weights = given.weights[stream].clone().requires_grad_()
        loss = plain_loss(given, stream, weights)
        (gradient,) = torch.autograd.grad(loss, weights)
        torch.testing.assert_close(lesson.loss[stream], loss.detach(), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(lesson.gradient[stream], gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("cell", list(CELLS))
def test_the_gradient_is_that_of_finite_differences(cell: str) -> None:
    """Moving the weights a little along a random direction moves the loss as the gradient says."""
    given = case(cell, JOINED, seed=1)
    lesson = learn(given)
    direction = torch.randn(given.weights.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    step = 1e-5
    ahead, behind = (learn(given._replace(weights=given.weights + sign * step * direction)).loss for sign in (1, -1))

    torch.testing.assert_close(
        (lesson.gradient * direction).sum(1), (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("cell", ["cfc", "ltc"])
def test_the_class_gradient_is_that_of_finite_differences(cell: str) -> None:
    """Likewise for the cross-entropy of a class."""
    given = case(cell, ONE, seed=3)
    given = given._replace(
        targets=F.one_hot(torch.tensor([0, 1, 0]), 2).double(),
        known=torch.tensor([[True], [True], [False]]).expand(3, 2),
    )
    lesson = learn(given, "class")
    direction = torch.randn(given.weights.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ahead, behind = (
        learn(given._replace(weights=given.weights + sign * 1e-5 * direction), "class").loss for sign in (1, -1)
    )

    torch.testing.assert_close((lesson.gradient * direction).sum(1), (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-8)
    assert not lesson.gradient[2].any()


@pytest.mark.parametrize("cell", ["cfc", "ltc", "cfc-mixed"])
def test_what_lies_before_a_streams_first_sample_is_skipped(cell: str) -> None:
    """A stretch that reaches back too far gives what the samples that exist give alone."""
    whole = case(cell, ONE)
    (stretch,) = whole.stretches
    hidden = torch.zeros_like(stretch.hidden)
    exists = torch.tensor([[False, False, True, True]]).expand(BATCH, 4)
    padded = whole._replace(stretches=[Unrolled(hidden, stretch.inputs, stretch.elapsed, exists, stretch.anchors)])
    short = whole._replace(
        stretches=[Unrolled(hidden, stretch.inputs[:, 2:], stretch.elapsed[:, 2:], exists[:, 2:], (1,))]
    )

    for found, expected in ((learn(padded).loss, learn(short).loss), (learn(padded).gradient, learn(short).gradient)):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_streams_do_not_touch() -> None:
    """A stream's lesson is bit for bit the same when its neighbour's window turns to NaN."""
    given = case("cfc", TWO)
    before = learn(given)
    for stretch in given.stretches:
        stretch.inputs[1] = torch.nan
    after = learn(given)

    for stream in (0, 2):
        assert torch.equal(before.gradient[stream], after.gradient[stream])
        assert before.loss[stream] == after.loss[stream]


def test_a_lesson_tells_the_readout_its_error() -> None:
    """Target less the linear expert's word and the readout's, where a target arrived, zero elsewhere, from the features
    of that horizon's sample."""
    given = case("cfc", TWO)
    lesson = learn(given)
    outputs = given.offset + (given.readout * lesson.features).sum(2)

    torch.testing.assert_close(lesson.error, torch.where(given.known, given.targets - outputs, 0.0))
    assert torch.equal(lesson.features[:, 0], lesson.features[:, 1])
    # The first outputs look at the newest stretch, the last ones at the oldest.
    for index, stretches in ((0, given.stretches[1:]), (-1, given.stretches[:1])):
        alone = learn(given._replace(stretches=stretches))
        torch.testing.assert_close(lesson.features[:, index], alone.features[:, 0], rtol=1e-12, atol=1e-14)


def test_nothing_known_teaches_nothing() -> None:
    """Without a target, loss, gradient and error are zero."""
    given = case("ltc", ONE)
    lesson = learn(given._replace(known=torch.zeros_like(given.known)))

    assert not lesson.loss.any()
    assert not lesson.gradient.any()
    assert not lesson.error.any()
