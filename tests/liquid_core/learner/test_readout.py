"""The readout: a linear map that takes a fixed fraction of each error away."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.learner import readout
from liquid_core.learner.readout import MAX_ERROR, MAX_LOGIT, MIN_CURVATURE
from liquid_core.types import FloatArray


def problem(seed: int, features: int = 4) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weights and features `(batch, outputs, features)` and errors `(batch, outputs)`."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, 3, features)), rng.normal(size=(2, 3, features)), rng.normal(size=(2, 3))


def test_an_update_is_the_closed_formula() -> None:
    """w + rate * error / (1 + x·x) * x, for every stream and output by itself."""
    weights, seen, error = problem(0)
    found = readout.update(weights, seen, error, 0.1)

    for b in range(2):
        for o in range(3):
            x = seen[b, o]
            np.testing.assert_allclose(found[b, o], weights[b, o] + 0.1 * error[b, o] / (1 + x @ x) * x, rtol=1e-12)


@given(st.integers(0, 1000), st.floats(0, 1), st.floats(1e-3, 1e3))
def test_an_update_takes_at_most_its_share_of_the_error(seed: int, rate: float, size: float) -> None:
    """On the same features the error shrinks by up to `rate` of itself and never changes sign, whatever their size."""
    weights, seen, error = problem(seed)
    seen = seen * size
    moved = ((readout.update(weights, seen, error, rate) - weights) * seen).sum(2)

    rounding = 1e-13 * (1 + size)
    assert (np.abs(moved) <= rate * np.abs(error) + rounding).all()
    assert (moved * np.sign(error) >= -rounding).all()


def test_a_wild_error_moves_no_further_than_three_scales() -> None:
    """An outlier pulls like an error of `MAX_ERROR`."""
    weights, seen, _ = problem(1)
    wild, capped = (readout.update(weights, seen, np.full((2, 3), value), 0.1) for value in (1e9, MAX_ERROR))

    np.testing.assert_array_equal(wild, capped)


def test_no_target_no_move() -> None:
    """An error of zero leaves the weights bit for bit."""
    weights, seen, error = problem(2)

    np.testing.assert_array_equal(readout.update(weights, seen, np.zeros_like(error), 0.1), weights)


def test_it_sees_the_cells_output_and_a_constant() -> None:
    """Features are the cell's output, then a one."""
    seen = readout.features(torch.tensor([[1.0, 2.0]]))

    assert seen.tolist() == [[1.0, 2.0, 1.0]]
    assert readout.num_features(2) == 3


def test_outputs_are_products_with_own_weights() -> None:
    """Each stream's features meet its own weights."""
    weights, seen, _ = problem(3)
    found = readout.apply(torch.from_numpy(weights), torch.from_numpy(seen[:, 0]))

    np.testing.assert_allclose(found.numpy(), np.einsum("bof,bf->bo", weights, seen[:, 0]), rtol=1e-12)


@pytest.mark.parametrize(("outputs", "features"), [(1, 7), (2, 13), (48, 103), (9, 64)])
def test_outputs_do_not_depend_on_the_place_in_the_batch(outputs: int, features: int) -> None:
    """The same stream gives the same bits in every lane, of any number."""
    generator = torch.Generator().manual_seed(0)
    weights, seen = torch.randn(outputs, features, generator=generator), torch.randn(features, generator=generator)
    rows = torch.cat([readout.apply(weights.repeat(batch, 1, 1), seen.repeat(batch, 1)) for batch in (1, 3, 8, 17)])

    assert (rows == rows[0]).all()


def test_a_linear_target_is_learned() -> None:
    """Normalised LMS finds the weights that made the targets."""
    rng = np.random.default_rng(0)
    weights, truth = np.zeros((1, 1, 5)), rng.normal(size=5)
    for _ in range(2000):
        seen = rng.normal(size=(1, 1, 5))
        weights = readout.update(weights, seen, ((truth - weights) * seen).sum(2), 0.5)

    np.testing.assert_allclose(weights[0, 0], truth, atol=1e-6)


# --- classes ---------------------------------------------------------------------------------------------------------

logits = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=5)


@given(logits)
def test_logits_become_probabilities(values: list[float]) -> None:
    """Softmax of what lies within `MAX_LOGIT`: in [0, 1], adding up to one, in the logits' order."""
    found = readout.softmax(np.array([values]))[0]
    kept = np.clip(values, -MAX_LOGIT, MAX_LOGIT)

    np.testing.assert_allclose(found, torch.softmax(torch.tensor(kept), 0).numpy(), rtol=1e-12)
    assert found.sum() == pytest.approx(1.0)


def test_a_logit_that_is_no_number_counts_as_zero() -> None:
    """And an infinite one as the limit."""
    found = readout.softmax(np.array([[np.nan, 0.0], [np.inf, MAX_LOGIT]]))

    np.testing.assert_array_equal(found, 0.5)


@given(st.lists(st.floats(-1, 2), min_size=2, max_size=5))
def test_shares_become_probabilities(values: list[float]) -> None:
    """What lies outside [0, 1] is cut off, the rest adds up to one; where nothing is left, all are alike."""
    found = readout.normalised(np.array([values]))[0]

    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1.0)
    if max(values) <= 0:
        np.testing.assert_allclose(found, 1 / len(values))


@given(logits)
def test_the_curvature_of_a_class_is_bounded(values: list[float]) -> None:
    """It is the steepest second derivative of the cross-entropy by a logit, for moves that keep the logits' sum; and no
    less than `MIN_CURVATURE`, where it is flat."""
    probability = readout.softmax(np.array([values]))
    found = readout.class_curvature(probability)[0]
    second = probability[0] * (1 - probability[0])

    assert MIN_CURVATURE <= found <= 0.5
    assert found == pytest.approx(max(MIN_CURVATURE, second.max() * len(values) / (len(values) - 1)))


def test_two_classes_that_are_alike_curve_the_most() -> None:
    """Twice a quarter: to move one logit up is to move the other down."""
    assert readout.class_curvature(np.array([[0.5, 0.5]]))[0] == 0.5
