"""The season: a period is found where there is one, and only there, and past values come back as they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.learner.calendar import DAY
from liquid_core.learner.season import INTERVAL, PREFERENCE, Season
from liquid_core.types import BoolArray, FloatArray, IntArray

LENGTH = 337


def fresh(num_tracks: int, length: int = LENGTH, num_streams: int = 1) -> Season:
    arrays = Season.arrays(length, num_tracks)
    return Season(**{name: np.zeros((num_streams, *spec.shape), spec.dtype) for name, spec in arrays.items()})


def calm(num_tracks: int, num_streams: int = 1) -> BoolArray:
    """No track has jumped."""
    return np.zeros((num_streams, num_tracks), dtype=np.bool_)


def run(series: FloatArray, length: int = LENGTH) -> Season:
    """The season of one stream after values `(time, tracks)`, the n-th of sample number n."""
    tracks = series.shape[1]
    season, deviation = fresh(tracks, length), series.std(axis=0)[None]
    for number, values in enumerate(series, start=1):
        at, active = np.array([number]), np.array([True])
        season.put(at, at, values[None], active)
        season = season.measure(at, at, deviation, calm(tracks), active)
    return season


def repeating(period: int, num_samples: int, noise: float, seed: int = 0) -> FloatArray:
    """A smooth shape that comes again every `period` samples, with noise, `(time, 1)`."""
    rng, phase = np.random.default_rng(seed), 2 * np.pi * np.arange(num_samples) / period
    shape = np.sin(phase) + 0.5 * np.cos(2 * phase + 1.0)
    return np.asarray((shape + noise * rng.normal(size=num_samples))[:, None])


# --- which period ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(("period", "num_samples"), [(7, 200), (24, 400), (24, 600), (168, 1200)])
def test_a_period_is_found(period: int, num_samples: int, noise: float, seed: int) -> None:
    """And not one of its multiples, with noise or without: in samples exactly, or within 4 % of a long one in noise,
    where its neighbours are nearly as good."""
    found = int(run(repeating(period, num_samples, noise, seed)).period[0])

    assert abs(found - period) <= (0.04 * period if noise else 0)


def test_classes_by_turns_have_a_period() -> None:
    """A series that repeats itself exactly does so at every multiple; the shortest counts."""
    classes = np.eye(3)[np.arange(200) % 3]

    assert run(classes).period[0] == 3


@pytest.mark.parametrize("seed", range(5))
def test_a_random_walk_has_none(seed: int) -> None:
    """Its values come apart the further, the longer the lag."""
    walk = np.cumsum(np.random.default_rng(seed).normal(size=(1500, 1)), axis=0)

    assert run(walk).period[0] == 0


@pytest.mark.parametrize("seed", range(5))
def test_white_noise_has_none(seed: int) -> None:
    """All its lags are alike."""
    assert run(np.random.default_rng(seed).normal(size=(1500, 1))).period[0] == 0


def test_a_constant_has_none() -> None:
    """Without a deviation there is no distance."""
    assert run(np.full((200, 1), 7.0)).period[0] == 0


def test_a_trend_has_none() -> None:
    """Nothing comes again."""
    assert run(np.arange(500.0)[:, None]).period[0] == 0


def test_a_week_of_days_is_a_week_when_days_differ_by_much() -> None:
    """Hourly values whose days differ among themselves more than hours do come again after a week only."""
    level = np.random.default_rng(0).normal(size=7)
    series = np.tile(np.repeat(level, 24), 8) + 0.1 * np.random.default_rng(1).normal(size=8 * 168)

    assert run(series[:, None]).period[0] == 168


def test_two_periods_must_have_passed() -> None:
    """One repetition is needed before there is a period."""
    series = repeating(48, 400, 0.0)

    assert run(series[: 2 * 48 - INTERVAL]).period[0] != 48
    assert run(series[: 3 * 48]).period[0] == 48


def test_a_wild_value_that_stays_does_not_hide_a_period() -> None:
    """A distance counts no further than its limit: a whole number of periods stays the best lag."""
    series = repeating(24, 600, 0.1)
    series[500] = 1e12
    season, deviation = fresh(1), np.ones((1, 1))
    for number, values in enumerate(series, start=1):
        at, active = np.array([number]), np.array([True])
        season.put(at, at, values[None], active)
        season = season.measure(at, at, deviation, calm(1), active)

    assert season.period[0] > 0
    assert season.period[0] % 24 == 0


@pytest.mark.parametrize("number", [20, 350, 500])
def test_a_track_that_jumped_is_not_measured(number: int) -> None:
    """Neither are the others then, whose distances are added to its own; distances and period stay as they were."""
    series = np.concatenate([repeating(24, number, 0.1), repeating(24, number, 0.1, seed=1)], axis=1)
    before, at, active = run(series), np.array([16 * number]), np.array([True])
    before.put(at, at, np.array([[1e12, 0.0]]), active)
    after = before.measure(at, at, np.ones((1, 2)), np.array([[True, False]]), active)

    np.testing.assert_array_equal(after.distance, before.distance)
    assert after.period == before.period


def test_the_day_stands_in_where_no_period_is_found() -> None:
    """As many samples as the gap divides a day into, once a day has passed, if the ring holds them."""
    season = fresh(1)

    def lag(gap: float, span: float) -> int:
        return int(season.lag(np.array([gap]), np.array([span]))[0])

    assert lag(3600.0, DAY) == 24
    assert lag(3601.0, DAY) == 24
    assert lag(900.0, 3 * DAY) == 96
    assert lag(3600.0, DAY - 1) == 0
    assert lag(60.0, DAY) == 0  # 1440 samples: more than are kept
    assert lag(DAY, 30 * DAY) == 0  # a period of one sample is persistence
    assert lag(0.0, 0.0) == 0


@pytest.mark.parametrize(("depth", "lag"), [(0.9 * PREFERENCE, 7), (1.1 * PREFERENCE, 24)])
def test_another_period_must_be_clearly_better_than_the_day(depth: float, lag: int) -> None:
    """A stream is taken to follow the day, where it can, unless its values lie far closer at the period it was found to
    have."""
    distance = np.ones((1, LENGTH))
    distance[0, 7] = depth
    season = replace(fresh(1), period=np.array([7]), distance=distance)

    assert season.lag(np.array([3600.0]), np.array([30 * DAY])).tolist() == [lag]
    assert season.lag(np.array([3600.0]), np.array([0.5 * DAY])).tolist() == [7]


# --- what was then ---------------------------------------------------------------------------------------------------


@given(
    length=st.integers(9, 40),
    num_samples=st.integers(1, 90),
    lag=st.integers(0, 20),
    ahead=st.integers(0, 30),
    periods=st.integers(0, 6),
)
def test_a_past_value_comes_back_as_it_was_put(
    *, length: int, num_samples: int, lag: int, ahead: int, periods: int
) -> None:
    """A whole number of periods before the target: the newest of them that was known at the time, or further back; and
    where it lies before the first sample, or is kept no more, it is said to be unknown."""
    season = fresh(2, length)
    values = np.random.default_rng(0).normal(size=(num_samples + 1, 2))
    for number in range(1, num_samples + 1):
        season.put(np.array([number]), np.array([number]), values[number : number + 1], np.array([True]))
    found, known = season.back(np.array([num_samples]), ahead, np.array([lag]), periods)

    # The target's own label (ahead = 0) is not known when it is asked for.
    last_known = num_samples if ahead else num_samples - 1
    same_point = [n for n in range(last_known, -10_000, -1) if lag and (num_samples + ahead - n) % lag == 0][:7]
    expected = same_point[periods] if lag else -1
    assert known[0] == (max(1, num_samples - length + 1) <= expected)
    if known[0]:
        np.testing.assert_array_equal(found[0], values[expected])


def test_only_active_streams_are_written() -> None:
    """And no value of a sample that is kept no more."""
    season = fresh(1, 9, num_streams=3)
    number: IntArray = np.array([3, 3, 3])
    season.put(number, np.array([3, 11, 12]), np.ones((3, 1)), np.array([True, True, True]))
    season.put(number, number, np.full((3, 1), 2.0), np.array([False, False, False]))
    found, _ = season.back(number, 2, np.array([2, 2, 2]), 0)

    assert found[:, 0].tolist() == [1.0, 1.0, 0.0]


def ring(season: Season, newest: int, count: int) -> FloatArray:
    """The last `count` values of one stream up to sample `newest`, oldest first: `(tracks, count)`."""
    numbers = np.arange(newest - count + 1, newest + 1)
    return season.values[0][:, -numbers % season.values.shape[2]]


def test_an_outlier_gives_way_to_the_middle_of_its_neighbours() -> None:
    """Of the tracks that it is told of, and of no other; also where later samples had it as their last value."""
    season = fresh(3, 9)
    for number, values in enumerate([[1.0, 5.0, 5.0], [99.0, 99.0, 99.0], [99.0, 99.0, 4.0]], start=1):
        season.put(np.array([number]), np.array([number]), np.array([values]), np.array([True]))
    wrong, after = np.array([[99.0, 99.0, 99.0]]), np.array([[2.0, 2.0, 2.0]])
    season.mend(np.array([2]), np.array([3]), wrong, after, np.array([[True, False, True]]))

    assert ring(season, 3, 3).tolist() == [[1.0, 1.5, 1.5], [5.0, 99.0, 99.0], [5.0, 3.5, 4.0]]


def test_what_was_before_an_outlier_stays() -> None:
    """The same value there was none; other streams, and an outlier whose neighbour is kept no more, are left alone."""
    season = fresh(1, 4, num_streams=2)
    everyone = np.ones(2, dtype=np.bool_)
    for number, value in enumerate([7.0, 1.0, 7.0], start=1):
        season.put(np.full(2, number), np.full(2, number), np.full((2, 1), value), everyone)
    values = season.values.copy()
    where, sevens, after = np.array([[True], [False]]), np.full((2, 1), 7.0), np.full((2, 1), 2.0)
    season.mend(np.full(2, 1), np.full(2, 3), sevens, after, where)  # nothing was before the first sample
    season.mend(np.full(2, 3), np.full(2, 6), sevens, after, where)
    np.testing.assert_array_equal(season.values, values)
    season.mend(np.full(2, 3), np.full(2, 3), sevens, after, where)

    assert ring(season, 3, 3).tolist() == [[7.0, 1.0, 1.5]]
    np.testing.assert_array_equal(season.values[1], values[1])


def test_a_label_that_comes_late_is_measured_against_what_was_before_it() -> None:
    """A series whose values come in three samples late shows the same period; lags that the ring no longer reaches by
    then are none."""
    series, season, active = repeating(12, 300, 0.05), fresh(1, 64), np.array([True])
    deviation = series.std(axis=0)[None]
    for newest in range(1, len(series) + 1):
        number = np.array([newest - 3])
        late = active & (number >= 1)
        season.put(number, np.array([newest]), series[number - 1], late)
        season = season.measure(number, np.array([newest]), deviation, calm(1), late)

    assert season.period[0] == 12


def test_streams_do_not_touch() -> None:
    """Side by side each finds its own."""
    together, series = fresh(1, 64, 2), [repeating(7, 300, 0.1), repeating(24, 300, 0.1)]
    for number in range(1, 301):
        at, active = np.full(2, number), np.ones(2, dtype=np.bool_)
        values = np.stack([one[number - 1] for one in series])
        together.put(at, at, values, active)
        deviation = np.stack([one.std(axis=0) for one in series])
        together = together.measure(at, at, deviation, calm(1, 2), active)
    alone = [run(one, 64) for one in series]

    np.testing.assert_array_equal(together.distance, np.concatenate([one.distance for one in alone]))
    assert together.period.tolist() == [7, 24]
