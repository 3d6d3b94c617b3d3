"""The streams made by formula are the same for the same seed, and drift where they say."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.accuracy import concepts, synthetic
from service.evaluation.series import Floats


def fitted_elsewhere(x: Floats, y: Floats, fit: slice, look: slice) -> float:
    """Mean squared error in some rows of a linear model of the last five rows' features, fitted in others."""
    inputs = np.hstack([np.roll(x, lag, axis=0) for lag in range(5)])
    weights = np.linalg.lstsq(inputs[fit], y[fit, 0], rcond=None)[0]
    return float(np.mean((inputs[look] @ weights - y[look, 0]) ** 2))


def test_a_seed_gives_the_same_stream_again() -> None:
    first, again, other = (concepts.abrupt(seed, 2, 300).series for seed in (3, 3, 4))
    assert np.array_equal(first.x, again.x)
    assert first.y is not None
    assert np.array_equal(first.y, again.y)  # type: ignore[arg-type]
    assert not np.array_equal(first.x, other.x)


def test_an_abrupt_drift_is_where_it_says() -> None:
    """What fits the first concept, fits it up to the drift and not from there on."""
    made = concepts.abrupt(0, 2, 2000)
    x, y = made.series.x, made.series.y
    assert y is not None
    assert made.drifts.tolist() == [2000]
    fit = slice(10, 1800)
    before, after = (fitted_elsewhere(x, y, fit, look) for look in (slice(1800, 2000), slice(2000, 2200)))
    assert after > 3 * before


def test_every_concept_has_the_same_scale() -> None:
    y = concepts.abrupt(1, 6, 2000).series.y
    assert y is not None
    parts = y.reshape(6, 2000)
    assert np.abs(parts.mean(axis=1)).max() < 0.3
    assert parts.std(axis=1) == pytest.approx(np.ones(6), abs=0.2)


def test_a_concept_comes_back() -> None:
    """What fits the first turn of a concept fits its second, and not what lies between."""
    made = concepts.recurring(0, concepts=2, times=2, length=1500)
    x, y = made.series.x, made.series.y
    assert y is not None
    fit = slice(10, 1500)
    between, again = (fitted_elsewhere(x, y, fit, look) for look in (slice(1600, 3000), slice(3100, 4500)))
    assert between > 3 * again


@pytest.mark.parametrize("make", [concepts.gradual, concepts.incremental])
def test_a_slow_drift_starts_at_its_row_and_ends_where_it_says(make: object) -> None:
    """Against the same stream with an abrupt drift, only the rows after a drift differ."""
    slow = make(0, concepts=2, length=1500, over=500).series.y  # type: ignore[operator]
    fast = concepts.abrupt(0, 2, 1500).series.y
    assert fast is not None
    # The dice of the gradual drift come before those of the noise, whose size bounds what else may differ.
    apart = np.abs(slow - fast)[:, 0]
    assert apart[:1500].max() < 12 * concepts.NOISE
    assert apart[2000:].max() < 12 * concepts.NOISE
    assert apart[1500:1700].mean() > 3 * apart[:1500].mean()


def test_a_walk_is_its_own_steps() -> None:
    x = concepts.walk(5, 4000).x[:, 0]
    assert np.diff(x).std() == pytest.approx(1.0, abs=0.05)
    assert x.std() > 5.0


def test_parts_of_a_stream_are_counted_from_its_drifts() -> None:
    """Three concepts of 2000 rows: 300 rows after each of the two drifts, the last 1000 of each concept."""
    (stream,) = synthetic.concepts(0, quick=True)
    after, steady = stream.parts["after drift"], stream.parts["steady"]
    assert np.flatnonzero(after)[[0, 299, 300]].tolist() == [2000, 2299, 4000]
    assert after.sum() == 600
    assert np.flatnonzero(steady)[[0, 999, 1000]].tolist() == [1000, 1999, 3000]
    assert steady.sum() == 3000
