"""Running moments: plain averages at first, fading ones later."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.learner.moments import Moments
from liquid_core.types import FloatArray

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


def run(series: FloatArray, rate: float) -> Moments:
    """Moments after a series `(time, values)`; NaN is not observed."""
    width = series.shape[1]
    moments = Moments(np.zeros((1, width), dtype=np.int64), np.zeros((1, width)), np.zeros((1, width)))
    for row in series:
        observed = ~np.isnan(row[None])
        moments = moments.update(np.where(observed, row, 0.0), observed, rate)
    return moments


@given(values)
def test_a_short_history_gives_the_plain_average(series: list[float]) -> None:
    """While there are fewer values than 1 / rate, mean and variance are numpy's."""
    moments = run(np.array(series)[:, None], rate=1e-3)
    slack = 1e-9 * (1 + max(map(abs, series)))

    np.testing.assert_allclose(moments.mean[0, 0], np.mean(series), atol=slack)
    np.testing.assert_allclose(moments.deviation()[0, 0], np.std(series), atol=1e3 * slack**0.5 + slack)


def test_a_long_history_fades() -> None:
    """Later each value weighs `rate`, older ones less by (1 - rate) a step: the weighted population's moments."""
    rate, series = 0.1, np.random.default_rng(0).normal(3.0, 2.0, 200)
    weights = np.empty(200)
    for n in range(1, 201):
        weight = max(1 / n, rate)
        weights[: n - 1] *= 1 - weight
        weights[n - 1] = weight
    moments = run(series[:, None], rate)
    mean = (weights * series).sum()

    np.testing.assert_allclose(moments.mean[0, 0], mean, rtol=1e-12)
    np.testing.assert_allclose(moments.variance[0, 0], (weights * (series - mean) ** 2).sum(), rtol=1e-12)


def test_what_is_not_observed_changes_nothing() -> None:
    """Gaps in one value leave it as if they had not been, and its neighbour alone."""
    series = np.random.default_rng(1).normal(size=(50, 2))
    holes = series.copy()
    holes[10:30, 0] = np.nan
    kept = np.delete(series[:, :1], np.s_[10:30], axis=0)

    assert run(holes, 0.05).mean[0, 0] == run(kept, 0.05).mean[0, 0]
    assert run(holes, 0.05).variance[0, 1] == run(series, 0.05).variance[0, 1]


def test_one_value_has_no_deviation() -> None:
    """A scale needs two values that differ."""
    assert run(np.array([[7.0]]), 0.01).deviation()[0, 0] == 0.0
    assert run(np.full((100, 1), 7.0), 0.01).deviation()[0, 0] == 0.0
