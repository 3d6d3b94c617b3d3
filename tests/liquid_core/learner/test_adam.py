"""Adam on packed weights, held to torch's, and the global-norm clip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.learner.adam import MAX_STEP, Adam, clip_by_norm
from liquid_core.learner.delay import learning_rate
from liquid_core.spec import LearnerSpec
from liquid_core.types import FloatArray


def fresh(batch: int, params: int) -> Adam:
    return Adam(np.zeros((batch, params)), np.zeros((batch, params)), np.ones(batch), np.ones(batch))


def walk(gradients: FloatArray, spec: LearnerSpec) -> FloatArray:
    """Sum of the steps `(batch, params)` after gradients `(time, batch, params)`."""
    _, batch, params = gradients.shape
    adam, weights = fresh(batch, params), np.zeros((batch, params))
    for gradient in gradients:
        step, adam = adam.update(gradient, spec, np.ones(batch))
        weights = weights + step
    return weights


@pytest.mark.parametrize(
    "spec",
    [
        LearnerSpec(),
        LearnerSpec(learning_rate=0.3, beta1=0.5, beta2=0.9, epsilon=1e-3),
        LearnerSpec(beta1=0.0, beta2=0.0),
        LearnerSpec(learning_rate=0.0),
    ],
)
def test_steps_are_torchs(spec: LearnerSpec) -> None:
    """A thousand steps in float64 end where torch.optim.Adam ends."""
    gradients = np.random.default_rng(0).normal(size=(1000, 3, 4)) * np.logspace(-6, 3, 4)
    theirs = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([theirs], spec.learning_rate, (spec.beta1, spec.beta2), spec.epsilon)
    for gradient in gradients:
        theirs.grad = torch.from_numpy(gradient)
        optimiser.step()

    np.testing.assert_allclose(walk(gradients, spec), theirs.detach().numpy(), rtol=1e-10, atol=1e-13)


def test_no_step_is_longer_than_the_limit() -> None:
    """Moments that contradict each other, as a foreign state may hold, move a weight by the limit and no further."""
    adam = Adam(np.array([[5.0, -5.0]]), np.array([[1e-12, 1e-12]]), np.full(1, 0.5), np.full(1, 0.5))
    step, _ = adam.update(np.zeros((1, 2)), LearnerSpec(), np.ones(1))

    assert step.tolist() == [[-MAX_STEP, MAX_STEP]]


def test_streams_do_not_share_moments() -> None:
    """A stream that takes fewer steps than its neighbour is where it would be alone."""
    gradients = np.random.default_rng(0).normal(size=(20, 2, 3))

    np.testing.assert_array_equal(walk(gradients, LearnerSpec())[:1], walk(gradients[:, :1], LearnerSpec()))


def test_the_first_step_is_the_learning_rate() -> None:
    """Whatever the size of the gradient, bias correction makes the first step that long."""
    step, _ = fresh(1, 3).update(np.array([[1e-3, -5.0, 1e6]]), LearnerSpec(learning_rate=0.01), np.ones(1))

    np.testing.assert_allclose(step, [[-0.01, 0.01, -0.01]], rtol=1e-4)


def test_a_step_after_late_targets_is_shorter() -> None:
    """By the learning rate of that delay alone: the moments are what they would be."""
    gradient, spec = np.array([[1e-3, -5.0]]), LearnerSpec(learning_rate=0.01)
    (prompt, after), (late, same) = (fresh(1, 2).update(gradient, spec, np.array([delay])) for delay in (1.0, 24.0))

    np.testing.assert_allclose(late, prompt * learning_rate(1.0, np.array([24.0])))
    np.testing.assert_array_equal(same.second, after.second)


def test_steps_keep_the_weights_type() -> None:
    """float32 gradients make float32 steps and moments; only the decays are counted in float64."""
    adam = Adam(np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32), np.ones(1), np.ones(1))
    step, after = adam.update(np.ones((1, 2), np.float32), LearnerSpec(), np.ones(1))

    assert (step.dtype, after.first.dtype, after.second.dtype) == (np.float32,) * 3
    assert after.decay1.dtype == np.float64


@given(st.lists(st.floats(-1e15, 1e15), min_size=1, max_size=8), st.floats(1e-6, 1e6))
def test_a_clipped_gradient_is_no_longer_than_the_limit(gradient: list[float], limit: float) -> None:
    """A long gradient is scaled down to the limit and keeps its direction; a short one is untouched."""
    before = np.array([gradient])
    clipped, norm = clip_by_norm(before, limit)

    np.testing.assert_allclose(norm, np.linalg.norm(before, axis=1), rtol=1e-12)
    assert np.linalg.norm(clipped) <= limit * (1 + 1e-9) or norm[0] <= limit
    if norm[0] <= limit:
        np.testing.assert_array_equal(clipped, before)
    else:
        np.testing.assert_allclose(clipped * (norm[0] / limit), before, rtol=1e-9, atol=1e-300)


def test_each_stream_is_clipped_by_its_own_norm() -> None:
    """A neighbour's long gradient shortens nobody else's."""
    clipped, norm = clip_by_norm(np.array([[3.0, 4.0], [0.3, 0.4]], np.float32), 1.0)

    np.testing.assert_allclose(norm, [5.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(clipped, [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)
    assert clipped.dtype == np.float32


def test_a_norm_that_is_not_finite_says_so() -> None:
    """The guard must see it: the norm of a gradient with NaN or infinity is not finite."""
    with np.errstate(all="ignore"):
        _, norm = clip_by_norm(np.array([[np.nan, 1.0], [np.inf, 1.0], [0.0, 0.0]]), 1.0)

    assert np.isfinite(norm).tolist() == [False, False, True]
