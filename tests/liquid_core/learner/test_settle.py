"""Settling: what an answer turns out to have been worth when its target arrives."""

from __future__ import annotations

import numpy as np
import pytest

from liquid_core.learner.settle import Pending, Settled, settle_class, settle_values
from liquid_core.types import FloatArray

#: Two horizons of two targets each, one stream.
PENDING = Pending(
    base=np.array([[10.0, 20.0, 10.0, 20.0]]),
    scale=np.array([[1.0, 2.0, 4.0, 0.0]]),
    prediction=np.array([[11.0, 20.0, 14.0, 20.0]]),
    half_width=np.array([[2.0, 1.0, 8.0, 0.0]]),
)
TRUTH = np.array([[12.0, 24.0, 10.0, 25.0]])


def settle(known: list[bool], truth: FloatArray = TRUTH) -> Settled:
    return settle_values(PENDING, truth, np.array([known]), num_horizons=2)


def test_targets_are_in_the_networks_terms() -> None:
    """Distance from the naive guess in scales of then; zero where there was no scale yet."""
    settled = settle([True] * 4)

    assert settled.residual.tolist() == [[2.0, 4.0, 0.0, 5.0]]
    assert settled.target.tolist() == [[2.0, 2.0, 0.0, 0.0]]
    assert settled.wanted.tolist() == settled.target.tolist()


def test_errors_are_means_over_a_horizons_targets() -> None:
    """In the targets' units, beside those of the naive guess."""
    settled = settle([True] * 4)

    assert settled.error.tolist() == [[(1 + 4) / 2, (4 + 5) / 2]]
    assert settled.naive_error.tolist() == [[(2 + 4) / 2, (0 + 5) / 2]]


def test_what_did_not_arrive_does_not_count() -> None:
    """A missing target is left out of its horizon's mean; a horizon without any is not observed."""
    settled = settle([False, True, False, False], np.where([[False, True, False, False]], TRUTH, np.nan))

    assert settled.error.tolist() == [[4.0, 0.0]]
    assert settled.observed.tolist() == [[True, False]]
    assert settled.residual.tolist() == [[0.0, 4.0, 0.0, 0.0]]
    assert np.isfinite(settled.target).all()


def test_a_target_outside_its_interval_is_missed() -> None:
    """Where there was no interval yet, there is nothing to miss: an interval of no width is not a wrong one."""
    settled = settle([True] * 4)

    assert settled.missed.tolist() == [[False, True, False, False]]
    assert settled.scaled.tolist() == [[True, True, True, False]]


def test_the_surprise_is_the_shortest_horizons_error() -> None:
    """In scales, averaged over its targets; the next horizon speaks where the first one is silent."""
    assert settle([True] * 4).surprise[0] == pytest.approx((1 / 1 + 4 / 2) / 2)
    assert settle([False, False, True, True]).surprise[0] == pytest.approx((4 / 4 + 0) / 2)
    assert settle([False] * 4).surprise[0] == -1.0


def test_the_distance_is_the_worst_targets() -> None:
    """Four half-widths out, of those that have an interval."""
    assert settle([True] * 4).distance[0] == 4.0
    assert settle([False, False, False, True]).distance[0] == -1.0


def test_an_outlier_is_cut_off() -> None:
    """A target a million scales away teaches as ten, and surprises as ten."""
    settled = settle([True] * 4, np.full((1, 4), 1e6))

    assert settled.target[0, 0] == 10.0
    assert settled.surprise[0] == 10.0


def classified(label: float, known: bool = True) -> Settled:
    pending = Pending(
        base=np.array([[0.0, 1.0, 0.0]]),  # the last class was 1
        scale=np.ones((1, 3)),
        prediction=np.array([[0.2, 0.3, 0.5]]),
        half_width=np.zeros((1, 3)),
    )
    return settle_class(pending, np.array([label]), np.array([known]))


@pytest.mark.parametrize(("label", "error", "naive"), [(2.0, 0.0, 1.0), (1.0, 1.0, 0.0), (0.0, 1.0, 1.0)])
def test_a_class_is_right_or_wrong(label: float, error: float, naive: float) -> None:
    """The error is that of the most probable class, beside that of the last class seen."""
    settled = classified(label)

    assert (settled.error[0, 0], settled.naive_error[0, 0], settled.surprise[0]) == (error, naive, error)
    assert settled.target.argmax() == label
    assert settled.wanted[0].tolist() == [float(label == c) - float(c == 1) for c in range(3)]


def test_an_improbable_class_is_far_away() -> None:
    """By the odds that were against it, four to one, shared by the two other classes."""
    assert classified(0.0).distance[0] == pytest.approx(np.sqrt(4 / 2))
    assert classified(0.0).scaled.all()


def test_without_a_label_nothing_is_settled() -> None:
    """No target, no score, no surprise."""
    settled = classified(np.nan, known=False)

    assert (settled.distance[0], settled.surprise[0]) == (-1.0, -1.0)
    assert not settled.known.any()
    assert not settled.target.any()
