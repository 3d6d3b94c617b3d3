"""ADWIN: buckets that hold the whole window, the cut by definition, and a bound on its length."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_core.learner.drift.adwin import Adwin, logarithm
from liquid_core.spec import AdwinSpec
from liquid_core.types import FloatArray

from .watching import alarms_of, noise, watch

#: Never alarms: the window only grows.
PATIENT = AdwinSpec(grace_period=1_000_000)


def window_after(series: FloatArray, spec: AdwinSpec) -> Adwin:
    _, after = watch(series[:, None], spec)
    assert isinstance(after, Adwin)
    return after


def bucket_sizes(state: Adwin) -> list[int]:
    """Lengths of the first stream's buckets, the oldest first."""
    return [1 << level for level in reversed(range(state.buckets.shape[1])) for _ in range(state.buckets[0, level])]


def bucket_sums(state: Adwin) -> list[float]:
    levels = reversed(range(state.buckets.shape[1]))
    return [float(state.sums[0, level, k]) for level in levels for k in range(state.buckets[0, level])]


@pytest.mark.parametrize("max_buckets", [1, 2, 5])
def test_buckets_are_the_window(max_buckets: int) -> None:
    """Each holds the sum of its stretch, sizes never grow towards the newest, and few buckets hold a long window."""
    series = noise(1, 700)[:, 0]
    state = window_after(series, AdwinSpec(grace_period=1_000_000, max_buckets=max_buckets))
    sizes = bucket_sizes(state)

    assert sum(sizes) == state.width[0] == state.seen[0] == 700
    assert sizes == sorted(sizes, reverse=True)
    assert state.buckets.max() <= max_buckets
    ends = np.cumsum(sizes)
    expected = [series[end - size : end].sum() for end, size in zip(ends, sizes, strict=True)]
    np.testing.assert_allclose(bucket_sums(state), expected, rtol=1e-12)


def test_sums_are_the_windows() -> None:
    """Total and squared deviations of a growing window, one value after the other."""
    series = 1e3 + noise(2, 500)[:, 0]
    for length in (1, 2, 3, 100, 500):
        state = window_after(series[:length], PATIENT)
        assert state.total[0] == pytest.approx(series[:length].sum(), rel=1e-12)
        assert state.squares[0] == pytest.approx(((series[:length] - series[:length].mean()) ** 2).sum(), rel=1e-9)


def first_alarm_by_definition(series: FloatArray, spec: AdwinSpec) -> int | None:
    """Every look on the raw values: the means on both sides of every cut that the buckets allow."""
    for end in range(spec.clock, len(series) + 1, spec.clock):
        if end <= spec.grace_period:
            continue
        window = series[:end]
        for cut in np.cumsum(bucket_sizes(window_after(window, AdwinSpec(grace_period=1_000_000)))):
            older, newer = window[:cut], window[cut:]
            if min(len(older), len(newer)) < spec.min_window_length:
                continue
            inverse = sum(1 / (len(side) - spec.min_window_length + 1) for side in (older, newer))
            confidence = math.log(2 * math.log(end) / spec.delta)
            bound = math.sqrt(2 * inverse * window.var() * confidence) + 2 / 3 * inverse * confidence
            if abs(older.mean() - newer.mean()) > bound:
                return end - 1
    return None


@pytest.mark.parametrize("level", [0.0, 0.4, 0.8, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_first_alarm_is_that_of_the_definition(seed: int, level: float) -> None:
    """From all values instead of buckets."""
    series = noise(seed, 400)[:, 0] + np.repeat([0.0, level], 200)
    found = alarms_of(series, AdwinSpec(mode="both"))

    assert (found[0] if found else None) == first_alarm_by_definition(series, AdwinSpec())


def test_a_fall_that_is_not_watched_still_ends_the_window() -> None:
    """Without an alarm; a rise after it is then held against the new level."""
    series = noise(3, 900)[:, 0] + np.repeat([6.0, 0.0, 2.0], 300)
    found = alarms_of(series, AdwinSpec(mode="up"))

    assert len(found) == 1
    assert 600 <= found[0] < 664
    assert window_after(series[:600], AdwinSpec(mode="up")).width[0] < 300


def test_a_window_at_its_bound_forgets_its_oldest_bucket() -> None:
    """Its values, and in the end the share of its deviations; the rest stays as it is."""
    spec = AdwinSpec(grace_period=1_000_000, levels=4, max_buckets=3)
    series = noise(4, 5000)[:, 0]
    widths = []
    for length in range(1, 120):
        state = window_after(series[:length], spec)
        sizes = bucket_sizes(state)
        widths.append(sum(sizes))
        kept = series[length - sum(sizes) : length]
        assert (state.width[0], state.seen[0]) == (sum(sizes), length)
        assert state.total[0] == pytest.approx(kept.sum(), rel=1e-9)
        assert sum(bucket_sums(state)) == pytest.approx(kept.sum(), rel=1e-9)
    assert widths[:40] == list(range(1, 41))  # nothing is forgotten before there are too many of the largest size
    assert max(widths) < 3 * 2**4
    assert min(widths[40:]) > 3 * 2**3
    state = window_after(series, spec)
    assert state.squares[0] / state.width[0] == pytest.approx(series.var(), rel=0.3)


def test_a_bounded_window_still_finds_changes() -> None:
    """Long after the first bucket was forgotten, and without false alarms until then."""
    spec = AdwinSpec(levels=5)
    series = noise(6, 4000)[:, 0] + np.repeat([0.0, 2.0], [3500, 500])
    found = alarms_of(series, spec)

    assert len(found) == 1
    assert 3500 <= found[0] < 3564


@settings(max_examples=300)
@given(st.floats(1e-300, 1e300))
def test_the_logarithm_is_one(x: float) -> None:
    """To 2 units in the last place of the C library's."""
    found = float(logarithm(np.array(x)))

    assert abs(found - math.log(x)) <= 2 * max(math.ulp(math.log(x)), 5e-17)


def test_the_logarithm_of_lengths() -> None:
    """Of every length that a window soon has."""
    lengths = np.arange(2.0, 100_000.0)

    np.testing.assert_allclose(logarithm(lengths), np.log(lengths), rtol=4.5e-16)
