"""Prequential errors: totals, and a recent mean."""

from __future__ import annotations

import numpy as np

from liquid_core.learner.metrics import Prequential
from liquid_core.learner.metrics.prequential import RECENT_RATE
from liquid_core.types import FloatArray


def run(errors: FloatArray, naive: FloatArray, observed: FloatArray | None = None) -> Prequential:
    """Metrics of one stream and horizon after errors `(time,)`."""
    zeros = np.zeros((1, 1))
    metrics = Prequential(zeros.astype(np.int64), zeros, zeros, zeros, zeros)
    seen = np.ones(len(errors), dtype=np.bool_) if observed is None else observed.astype(np.bool_)
    for e, n, s in zip(errors, naive, seen, strict=True):
        metrics = metrics.update(np.array([[e]]), np.array([[n]]), np.array([[s]]))
    return metrics


def test_totals_add_up() -> None:
    """Count and sums of both errors: their quotient is the mean over the stream's life."""
    errors, naive = np.random.default_rng(0).random((2, 500))
    metrics = run(errors, naive)

    assert metrics.count[0, 0] == 500
    np.testing.assert_allclose([metrics.total[0, 0], metrics.total_naive[0, 0]], [errors.sum(), naive.sum()])


def test_the_recent_mean_is_plain_at_first() -> None:
    """With fewer than a hundred errors it is their average."""
    errors, naive = np.random.default_rng(0).random((2, 90))
    metrics = run(errors, naive)

    np.testing.assert_allclose([metrics.recent[0, 0], metrics.recent_naive[0, 0]], [errors.mean(), naive.mean()])


def test_the_recent_mean_forgets() -> None:
    """After a change it moves by `RECENT_RATE` of the way with each error."""
    metrics = run(np.concatenate([np.zeros(1000), np.ones(100)]), np.ones(1100))

    np.testing.assert_allclose(metrics.recent[0, 0], 1 - (1 - RECENT_RATE) ** 100)
    assert metrics.recent_naive[0, 0] == 1.0


def test_what_is_not_observed_changes_nothing() -> None:
    """A missing target leaves every number."""
    with_gap = run(np.array([1.0, 9.0, 3.0]), np.ones(3), np.array([1, 0, 1]))
    without = run(np.array([1.0, 3.0]), np.ones(2))

    assert (with_gap.count, with_gap.total, with_gap.recent) == (without.count, without.total, without.recent)
