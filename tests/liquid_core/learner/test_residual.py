"""Running scale of residuals: their root mean square, out of reach of outliers."""

from __future__ import annotations

import numpy as np
import pytest

from liquid_core.learner.residual import MAX_RESIDUAL, Residual
from liquid_core.types import FloatArray


def run(series: FloatArray, rate: float) -> Residual:
    """The state after residuals `(time,)`; NaN is not observed."""
    residual = Residual(count=np.zeros((1, 1), dtype=np.int64), square=np.zeros((1, 1)))
    for value in series:
        observed = ~np.isnan(np.array([[value]]))
        residual = residual.update(np.array([[value]]), observed, rate)
    return residual


def test_the_scale_is_the_root_mean_square() -> None:
    """While there are fewer residuals than 1 / rate, all weigh the same; their mean is not taken off."""
    series = np.random.default_rng(0).normal(1.0, 1.0, 300)

    np.testing.assert_allclose(run(series, 1e-3).scale()[0, 0], np.sqrt(np.mean(series**2)), rtol=1e-12)


def test_later_the_old_ones_fade() -> None:
    """After a change of scale the mean square moves by `rate` of the way with each residual."""
    series = np.concatenate([np.ones(1000), np.full(50, 3.0)])
    expected = 9.0 - 8.0 * 0.99**50

    np.testing.assert_allclose(run(series, 0.01).square[0, 0], expected, rtol=1e-9)


def test_an_outlier_counts_as_ten_scales() -> None:
    """One wild residual cannot take the scale away."""
    before, after = run(np.ones(1000), 0.01), run(np.append(np.ones(1000), 1e12), 0.01)

    assert before.scale()[0, 0] == 1.0
    assert after.square[0, 0] == pytest.approx(1.0 + 0.01 * (MAX_RESIDUAL**2 - 1))


def test_a_scale_that_grew_is_found() -> None:
    """Residuals a million times larger are the scale after a few tens of samples: the cap grows with it."""
    series = np.concatenate([np.ones(1000), np.full(60, 1e6)])

    assert run(series, 1e-2).scale()[0, 0] > 1e5


def test_what_is_not_observed_changes_nothing() -> None:
    """NaN leaves count and scale."""
    before, after = run(np.ones(5), 0.01), run(np.append(np.ones(5), np.nan), 0.01)

    assert (after.count, after.square) == (before.count, before.square)


def test_before_the_first_there_is_no_scale() -> None:
    """Zero stands for "not known yet", and zero residuals leave it there."""
    assert run(np.array([]), 0.01).scale()[0, 0] == 0.0
    assert run(np.zeros(10), 0.01).scale()[0, 0] == 0.0
