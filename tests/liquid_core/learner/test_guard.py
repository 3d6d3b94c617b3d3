"""The guard lets sound updates, states and outputs pass, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from liquid_core.learner.guard import (
    MAX_GRADIENT,
    MAX_HIDDEN,
    MAX_OUTPUT,
    MAX_WEIGHT,
    safe_expert,
    safe_hidden,
    safe_outputs,
    safe_readout,
    safe_rest,
    safe_update,
)

BAD = [np.nan, np.inf, -np.inf]


def test_a_sound_update_passes() -> None:
    """Finite loss and gradient, weights within their range up to the edge."""
    weights = np.array([[0.0, MAX_WEIGHT, -MAX_WEIGHT]])

    assert safe_update(np.array([1.0]), np.array([MAX_GRADIENT]), weights).tolist() == [True]


@pytest.mark.parametrize("bad", [*BAD, 1.01 * MAX_WEIGHT])
def test_a_bad_weight_stops_its_own_stream_only(bad: float) -> None:
    """One weight that is not finite, or too large, undoes the update of its stream and of no other."""
    weights = np.zeros((3, 4))
    weights[1, 2] = bad

    assert safe_update(np.zeros(3), np.zeros(3), weights).tolist() == [True, False, True]
    assert safe_readout(weights[:, None]).tolist() == [True, False, True]


@pytest.mark.parametrize("bad", [*BAD, -1.01 * MAX_WEIGHT])
def test_a_bad_weight_of_an_expert_is_its_groups(bad: float) -> None:
    """Outputs that share a covariance are sound together, or not at all."""
    weights = np.full((2, 6, 3), MAX_WEIGHT)
    weights[1, 3, 0] = bad

    assert safe_expert(weights, 3).tolist() == [[True, True, True], [True, False, True]]
    assert safe_expert(weights, 6)[1].tolist() == [True, True, True, False, True, True]


def test_what_the_readout_adds_is_finite() -> None:
    """Nothing where it is no number; cut off it is only together with the linear expert's word."""
    assert safe_rest(np.array([[np.nan, np.inf, -np.inf, 1e30, -0.5]])).tolist() == [[0.0, 0.0, 0.0, 1e30, -0.5]]


def test_a_gradient_that_explodes_stops_the_update() -> None:
    """Finite, and yet too long to be worth clipping."""
    assert not safe_update(np.zeros(1), np.array([1.01 * MAX_GRADIENT]), np.zeros((1, 2))).any()


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_loss_or_gradient_stops_the_update(bad: float) -> None:
    """What was computed from nonsense is not kept, even where the weights look sound."""
    assert not safe_update(np.array([bad]), np.zeros(1), np.zeros((1, 2))).any()
    assert not safe_update(np.zeros(1), np.array([bad]), np.zeros((1, 2))).any()


@pytest.mark.parametrize("bad", [*BAD, 1.01 * MAX_HIDDEN])
def test_a_bad_hidden_state_is_seen(bad: float) -> None:
    """One neuron is enough."""
    assert safe_hidden(np.array([[0.0, MAX_HIDDEN], [0.0, bad]])).tolist() == [True, False]


def test_outputs_are_cut_off() -> None:
    """Finite ones at `MAX_OUTPUT`; others become zero, the naive prediction."""
    found = safe_outputs(np.array([[np.nan, np.inf, -np.inf, 1e30, -1e30, 0.5]]))

    assert found.tolist() == [[0.0, 0.0, 0.0, MAX_OUTPUT, -MAX_OUTPUT, 0.5]]
