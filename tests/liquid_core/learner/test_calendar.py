"""The calendar: sines of day and week, shown once a stream has lasted long enough and comes often enough."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.learner.calendar import DAY, MIN_SAMPLES, WAVES, WEEK, waves
from liquid_core.types import FloatArray

#: Bhaskara's approximation is nowhere further from the sine.
TOLERANCE = 0.0017
HOUR = 3600.0
day_waves, week_waves = slice(0, 4), slice(4, 6)


def shown(t: float, first_t: float = -1e12, gap: float = HOUR) -> FloatArray:
    """The waves of one stream."""
    return waves(np.array([t]), np.array([first_t]), np.array([gap]))[0]


@given(st.floats(-1e10, 1e10))
def test_waves_are_sines_and_cosines(t: float) -> None:
    """Of the day, of half a day and of the week, counted from the epoch."""
    turns = 2 * np.pi * (t / np.array([DAY, DAY / 2, WEEK]))
    expected = np.stack([np.sin(turns), np.cos(turns)], axis=1).ravel()

    assert shown(t).shape == (WAVES,)
    np.testing.assert_allclose(shown(t), expected, atol=TOLERANCE)


def test_quarters_are_exact() -> None:
    """At midnight, six, noon and eighteen o'clock the waves of the day are exactly 0, 1 and -1."""
    assert [shown(hours * HOUR)[:2].tolist() for hours in (0, 6, 12, 18)] == [[0, 1], [1, 0], [0, -1], [-1, 0]]


@given(st.integers(-1000, 1000), st.integers(0, 604_799))
def test_every_week_is_the_same(weeks: int, second: int) -> None:
    """Whole seconds have their waves again a week later, bit for bit but for the rounding of the phase."""
    np.testing.assert_allclose(shown(second + weeks * WEEK), shown(float(second)), atol=1e-11)


@given(st.floats(-1e15, 1e15))
def test_waves_stay_in_bounds(t: float) -> None:
    """At any time at all."""
    assert (np.abs(shown(t)) <= 1.0).all()


@pytest.mark.parametrize(
    ("lasted", "gap", "day", "week"),
    [
        (0.0, HOUR, False, False),
        (DAY - 1, HOUR, False, False),
        (DAY, HOUR, True, False),
        (WEEK - 1, HOUR, True, False),
        (WEEK, HOUR, True, True),
        (WEEK, DAY / MIN_SAMPLES, True, True),
        (WEEK, 1.01 * DAY / MIN_SAMPLES, False, True),
        (WEEK, DAY, False, True),
        (WEEK, 1.01 * WEEK / MIN_SAMPLES, False, False),
    ],
)
def test_a_wave_is_shown_when_it_has_support(*, lasted: float, gap: float, day: bool, week: bool) -> None:
    """The stream must have lasted the period, and have `MIN_SAMPLES` in it; before, there are zeros."""
    start = 1_732_406_523.0
    found = shown(start + lasted, start, gap)

    assert found[day_waves].any() == day
    assert found[week_waves].any() == week


def test_streams_do_not_touch() -> None:
    """Each has its own time, age and gap."""
    t, first, gap = np.array([5e8, 6e8 + 0.5, 7e8]), np.array([0.0, 6e8, 6.9e8]), np.array([1.0, 60.0, 5e4])
    alone = [waves(t[n : n + 1], first[n : n + 1], gap[n : n + 1])[0] for n in range(3)]

    np.testing.assert_array_equal(waves(t, first, gap), alone)
