"""The stream's clock: elapsed time in typical gaps, whatever the unit, the outages and the jitter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.learner.clock import MAX_ELAPSED, Clock
from liquid_core.types import FloatArray


def run(times: list[float]) -> tuple[list[float], Clock]:
    """Elapsed times of one stream's samples, and its clock after them."""
    clock = Clock(first_t=np.zeros(1), last_t=np.zeros(1), gap=np.zeros(1), count=np.zeros(1, dtype=np.int64))
    elapsed = []
    for t in times:
        passed, clock = clock.tick(np.array([t]))
        elapsed.append(float(passed[0]))
    return elapsed, clock


@pytest.mark.parametrize("gap", [1e-3, 1.0, 60.0, 86_400.0, 0.125])
@pytest.mark.parametrize("start", [0.0, 1_732_406_400.0, -5e6])
def test_a_regular_stream_has_an_elapsed_time_of_one(gap: float, start: float) -> None:
    """Seconds or days between samples look the same; 1 exactly where the times themselves are exact."""
    elapsed, clock = run([start + gap * n for n in range(200)])

    np.testing.assert_allclose(elapsed, 1.0, rtol=1e-3 if gap < 0.01 and start else 1e-6)
    if gap >= 0.1:
        assert elapsed == [1.0] * 200
    assert clock.gap[0] == pytest.approx(gap, rel=1e-3)


def test_the_first_sample_counts_as_one_gap() -> None:
    """There is nothing behind it, whenever it comes."""
    assert run([1e9])[0] == [1.0]
    assert run([-1e9])[0] == [1.0]


def test_a_sample_three_gaps_late_looks_so() -> None:
    """An irregular sample is measured against the gap as it was known before it."""
    elapsed, _ = run([*range(100), 102.0])

    assert elapsed[-1] == 3.0


def test_a_long_outage_is_capped_and_forgotten() -> None:
    """A year without samples shows as `MAX_ELAPSED`, and moves the typical gap by 1 % only."""
    times = [float(n) for n in range(200)]
    elapsed, clock = run([*times, times[-1] + 3e7, times[-1] + 3e7 + 1])

    assert elapsed[-2] == MAX_ELAPSED
    assert elapsed[-1] == pytest.approx(1.0, rel=0.02)
    assert clock.gap[0] == pytest.approx(1.0, rel=0.02)


def test_an_outage_at_the_start_is_unlearned() -> None:
    """A first gap of a day does not pass for typical once samples come every second."""
    _, clock = run([0.0, *(86_400.0 + n for n in range(2000))])

    assert clock.gap[0] == pytest.approx(1.0, rel=0.02)


def test_a_late_sample_takes_no_time() -> None:
    """A time at or before the last one counts as no time; the clock never runs backward."""
    elapsed, clock = run([10.0, 11.0, 12.0, 12.0, 5.0, 13.0])

    assert elapsed == [1.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    assert clock.last_t[0] == 13.0
    assert clock.first_t[0] == 10.0


def test_the_gap_follows_the_median() -> None:
    """Of skewed gaps the typical one is the median, not the mean that outliers drag."""
    rng = np.random.default_rng(0)
    gaps = np.where(rng.random(5000) < 0.1, 100.0, rng.uniform(0.8, 1.2, 5000))

    assert run(list(np.cumsum(gaps)))[1].gap[0] == pytest.approx(np.median(gaps), rel=0.15)


@given(st.lists(st.floats(-1e15, 1e15), min_size=1, max_size=30))
def test_elapsed_time_stays_in_bounds(times: list[float]) -> None:
    """Any times at all give a finite elapsed time within [0, MAX_ELAPSED] and a finite gap."""
    elapsed, clock = run(times)

    assert all(0.0 <= passed <= MAX_ELAPSED for passed in elapsed)
    assert np.isfinite(clock.gap).all()
    assert clock.last_t[0] == max(times)
    assert clock.first_t[0] == times[0]


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30), st.integers(-20, 20))
def test_the_unit_of_time_does_not_matter(gaps: list[float], power: int) -> None:
    """Times in another unit give the same elapsed times."""
    times: FloatArray = np.cumsum(gaps)

    assert run(list(times))[0] == run(list(times * 2.0**power))[0]
