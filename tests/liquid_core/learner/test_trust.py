"""Trust: the network's share of the answer is what it earned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.learner.trust import DOUBT, LIMIT, Trust
from liquid_core.types import FloatArray


def run(target: FloatArray, output: FloatArray) -> Trust:
    """Trust after series `(time,)` of targets and outputs; a NaN target is not observed."""
    trust = Trust(np.zeros((1, 1), dtype=np.int64), np.zeros((1, 1)), np.zeros((1, 1)))
    for y, o in zip(target, output, strict=True):
        observed = ~np.isnan(np.array([[y]]))
        trust = trust.update(np.where(observed, y, 0.0), np.array([[o]]), observed)
    return trust


def share(target: FloatArray, output: FloatArray, lead: int = 1) -> float:
    return float(run(target, output).share(np.array([lead]))[0, 0])


def test_a_network_that_is_right_is_trusted() -> None:
    """After a few hundred right outputs its share is nearly one."""
    target = np.random.default_rng(0).normal(size=400)

    assert share(target, target) == pytest.approx(1.0, abs=0.02)


def test_a_network_that_guesses_is_not() -> None:
    """On a random walk, where outputs have nothing to do with targets, the share stays near zero."""
    rng = np.random.default_rng(0)

    assert share(rng.normal(size=2000), rng.normal(size=2000)) < 0.1


def test_a_network_that_is_wrong_has_no_share() -> None:
    """Outputs of the wrong sign are not turned round: the naive guess answers."""
    target = np.random.default_rng(0).normal(size=100)

    assert share(target, -target) == 0.0


def test_the_share_is_the_least_squares_slope() -> None:
    """Targets regressed on outputs through the origin, shrunk by `DOUBT` imagined targets without success."""
    rng = np.random.default_rng(1)
    output = np.clip(rng.normal(size=100), -LIMIT, LIMIT)
    target = np.clip(0.5 * output + rng.normal(size=100), -LIMIT, LIMIT)
    slope = (target * output).sum() / (output**2).sum()

    assert share(target, output) == pytest.approx(slope * 100 / (100 + DOUBT), rel=1e-9)


def test_overlapping_targets_count_for_less() -> None:
    """A horizon of h samples doubts h times as many imagined targets."""
    target = np.random.default_rng(3).uniform(-1, 1, size=96)

    assert share(target, target, lead=12) == pytest.approx(96 / (96 + 12 * DOUBT), rel=1e-9)


def test_a_breakdown_does_not_decide_alone() -> None:
    """A few enormous targets that the network met weigh no more than their number."""
    rng = np.random.default_rng(4)
    target, output = rng.normal(size=200), rng.normal(size=200)
    target[100:105] = output[100:105] = 10.0

    assert share(target, output) < 0.2


def test_trust_is_lost_after_a_drift() -> None:
    """A network whose outputs turned useless loses its share within a few hundred targets."""
    rng = np.random.default_rng(2)
    target = rng.normal(size=1400)
    output = np.concatenate([target[:400], rng.normal(size=1000)])

    assert share(target, output) < 0.2


def test_what_is_not_observed_changes_nothing() -> None:
    """A missing target neither earns nor costs trust."""
    target = np.random.default_rng(0).normal(size=20)
    with_gap, output = np.append(target, np.nan), np.append(target, 5.0)

    assert share(with_gap, output) == share(target, target)


def test_before_the_first_target_there_is_no_trust() -> None:
    """Neither nothing nor outputs of zero earn a share."""
    assert share(np.array([]), np.array([])) == 0.0
    assert share(np.ones(5), np.zeros(5)) == 0.0


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(-20, 20)), max_size=40))
def test_the_share_is_a_share(pairs: list[tuple[float, float]]) -> None:
    """It lies within [0, 1], whatever targets and outputs are."""
    target, output = np.array(pairs).reshape(-1, 2).T

    assert 0.0 <= share(target, output) <= 1.0
