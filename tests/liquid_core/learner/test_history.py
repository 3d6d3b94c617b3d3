"""The history: scale, last value and last movements of what is predicted, as far as they are known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.learner.history import CHANGES, HALF_AGE, SLOW, VIEW, History
from liquid_core.learner.scaler import MAX_SCALED
from liquid_core.types import FloatArray

NAN = float("nan")


def histories(series: FloatArray, rate: float = 1e-3) -> Iterator[History]:
    """One stream's history before and after each of the values `(time, tracks)`, the n-th of sample number n.

    NaN is not observed.
    """
    tracks = series.shape[1]
    arrays = {
        name: np.full((1, *spec.shape), spec.initial, spec.dtype) for name, spec in History.arrays(tracks).items()
    }
    history = History(**arrays)
    yield history
    for number, values in enumerate(series, start=1):
        observed = ~np.isnan(values[None])
        history = history.update(np.where(observed, values, 0.0), observed, np.array([number]), rate)
        yield history


def run(series: FloatArray, rate: float = 1e-3) -> History:
    """One stream's history after all values."""
    return list(histories(series, rate))[-1]


def view(history: History, number: int) -> FloatArray:
    """What one stream is shown at sample `number`, `(tracks, VIEW)`."""
    return history.view(np.array([number]))[0]


def test_it_shows_level_movements_and_age() -> None:
    """The level in deviations from the mean, the movements in typical ones, newest first."""
    values = np.array([3.0, 4.0, 6.0, 5.0])
    moved = np.diff(values)
    history = run(values[:, None])
    level, *movements, age = view(history, 4)[0]

    assert len(movements) == CHANGES
    assert VIEW == CHANGES + 2
    assert level == pytest.approx((5.0 - values.mean()) / values.std())
    assert movements == pytest.approx(moved[::-1] / np.sqrt(np.mean(moved**2)))
    assert age == 0.0


def test_slow_means_are_plain_ones_until_they_reach_back_far_enough() -> None:
    """After that, each value leaves all but its share of what was before; a wild one counts as one within reach."""
    values = np.random.default_rng(1).normal(size=40)
    histories_of = list(histories(values[:, None]))
    wild = run(np.append(values, 1e9)[:, None])

    np.testing.assert_allclose(histories_of[10].slow[0, 0], values[:10].mean())
    before, after = histories_of[30].slow[0, 0], histories_of[31].slow[0, 0]
    np.testing.assert_allclose(after[0], before[0] + (values[30] - before[0]) / SLOW[0])
    np.testing.assert_allclose(after[1], values[:31].mean())
    assert (np.abs(wild.slow[0, 0]) < 12 / SLOW[0]).all()


def test_age_grows_with_every_sample_that_brings_nothing() -> None:
    """Zero when the last value is this sample's, a half after `HALF_AGE` samples, and never one."""
    history = run(np.array([[1.0], [2.0], [4.0]]))

    assert view(history, 3)[0, -1] == 0.0
    assert view(history, 3 + int(HALF_AGE))[0, -1] == 0.5
    assert 0.99 < view(history, 10_000)[0, -1] < 1.0


def test_what_is_not_observed_changes_nothing() -> None:
    """A track's gap leaves its last value and movements as they were; its neighbour goes on."""
    series = np.random.default_rng(0).normal(size=(30, 2))
    holes = series.copy()
    holes[12:20, 0] = NAN
    kept = np.delete(series[:, :1], np.s_[12:20], axis=0)

    np.testing.assert_array_equal(view(run(holes), 30)[0, :-1], view(run(kept), 30)[0, :-1])
    np.testing.assert_array_equal(view(run(holes), 30)[1], view(run(series), 30)[1])


def test_a_gap_is_one_movement() -> None:
    """What a value moved since the last known one, however long ago that was."""
    history = run(np.array([[1.0], [NAN], [NAN], [5.0]]))

    assert history.changes[0, 0].tolist() == [4.0] + [0.0] * (CHANGES - 1)
    assert history.newest[0] == 4


def test_nothing_at_all_stays_fresh() -> None:
    """Before the first value all is zero, but for the age."""
    history = run(np.full((5, 2), NAN))

    assert history.newest[0] == 0
    assert not view(history, 5)[:, :-1].any()
    assert not history.deviation().any()


def test_classes_are_columns() -> None:
    """One where the class was: the level of a class says how much more it is there than usual."""
    classes = np.array([0, 1, 0, 0])
    history = run(np.eye(2)[classes])

    np.testing.assert_allclose(history.mean[0], [0.75, 0.25])
    assert view(history, 4)[0, 0] > 0 > view(history, 4)[1, 0]


def test_a_wild_value_does_not_tear_the_scale() -> None:
    """The moments take it as one ten deviations away; what is shown is cut off."""
    series = np.append(np.random.default_rng(0).normal(size=100), 1e6)
    history = run(series[:, None])

    assert history.deviation()[0, 0] < 3.0
    assert history.last[0, 0] == 1e6
    assert view(history, 101)[0, 0] == MAX_SCALED


@given(
    st.lists(st.one_of(st.just(NAN), st.floats(-1e30, 1e30)), min_size=1, max_size=30),
    st.integers(-10, 10),
    st.floats(1e-3, 0.5),
)
def test_the_unit_does_not_matter_and_the_view_is_bounded(values: list[float], power: int, rate: float) -> None:
    """Values in another unit look the same; whatever they are, what is shown is finite and within the limits."""
    series = np.array(values)[:, None]
    found = view(run(series, rate), len(values))

    assert np.isfinite(found).all()
    assert (np.abs(found) <= MAX_SCALED).all()
    if all(np.isnan(value) or value == 0 or abs(value) > 1e-30 for value in values):
        np.testing.assert_array_equal(view(run(series * 2.0**power, rate), len(values)), found)


# --- outliers --------------------------------------------------------------------------------------------------------


def rebounds(series: FloatArray) -> list[int]:
    """At which values of a series `(time,)` the one before them turns out to have been an outlier."""
    told = zip(histories(series[:, None]), series, strict=False)
    return [
        n for n, (before, value) in enumerate(told) if before.rebound(np.array([[value]]), np.array([[True]]))[0, 0]
    ]


NOISE = np.random.default_rng(3).normal(size=300)
SINE = np.sin(np.arange(300) / 4)


@pytest.mark.parametrize("outlier", [30.0, -1e6, 1e30])
@pytest.mark.parametrize("series", [NOISE, SINE, np.cumsum(NOISE)])
def test_an_outlier_is_known_by_the_next_value(series: FloatArray, outlier: float) -> None:
    """In noise, on a smooth curve, on a random walk."""
    disturbed = series.copy()
    disturbed[200] += outlier
    history = run(disturbed[:201, None])

    assert rebounds(disturbed) == [201]
    assert history.jumped().tolist() == [[True]]
    assert not history.rebound(np.zeros((1, 1)), np.array([[False]])).any()


@pytest.mark.parametrize("series", [NOISE, SINE, np.cumsum(NOISE), np.full(300, 7.0), np.zeros(300)])
def test_ordinary_values_are_none(series: FloatArray) -> None:
    """Nor is a level that shifts and stays, a single step that is not far beyond the others, or a constant."""
    assert rebounds(series) == []
    assert rebounds(series + np.repeat([0.0, 1e3], 150)) == []


def test_what_happens_now_and_then_is_none() -> None:
    """A pulse a day on an hourly stream belongs to the stream, once it has come a few times."""
    pulses = np.where(np.arange(300) % 24 == 12, 1.0, 0.0)

    assert all(n < 3 * 24 for n in rebounds(pulses + 1e-3 * NOISE))
