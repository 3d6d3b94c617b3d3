"""`river` as the oracle: Page-Hinkley and ADWIN alarm where river's do, alarm by alarm; the window test has SciPy's
statistic, and finds what river's KSWIN finds with fewer false alarms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift
from scipy import stats

from liquid_core.learner.drift import PageHinkley, detector_for
from liquid_core.learner.drift.window_test import gaps
from liquid_core.spec import AdwinSpec, DriftSpec, PageHinkleySpec, WindowTestSpec
from liquid_core.types import FloatArray

Mode = Literal["up", "down", "both"]
MODES: list[Mode] = ["up", "down", "both"]


def our_alarms(values: list[float], spec: PageHinkleySpec) -> list[int]:
    state = PageHinkley(np.zeros(1, dtype=np.int64), *(np.zeros(1) for _ in range(5)))
    found = []
    for n, value in enumerate(values):
        alarm, state = state.update(np.array([value]), np.array([True]), spec)
        if alarm[0]:
            found.append(n)
    return found


def rivers_alarms(values: list[float], spec: PageHinkleySpec) -> list[int]:
    detector = drift.PageHinkley(spec.min_samples, spec.delta, spec.threshold, spec.alpha, spec.mode)
    found = []
    for n, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            found.append(n)
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("min_samples", "delta", "threshold", "alpha"),
    [
        (30, 0.005, 50.0, 0.9999),
        (30, 0.05, 25.0, 0.9999),
        (1, 0.0, 1.0, 0.5),
        (10, 0.5, 5.0, 1.0),
        (100, 0.1, 8.0, 0.99),
    ],
)
def test_alarms_on_a_series_with_changes(
    mode: Mode, min_samples: int, delta: float, threshold: float, alpha: float
) -> None:
    """Noise whose level rises and falls: the same alarms at the same values, for several settings."""
    spec = PageHinkleySpec(min_samples=min_samples, delta=delta, threshold=threshold, alpha=alpha, mode=mode)
    levels = np.repeat([0.0, 4.0, -2.0, 0.0, 10.0, 10.0], 250)
    values = list(levels + np.random.default_rng(7).normal(size=1500))

    assert our_alarms(values, spec) == rivers_alarms(values, spec)


def test_the_settings_above_do_alarm() -> None:
    """An agreement on silence would prove little."""
    spec = PageHinkleySpec(threshold=25.0, mode="both")
    values = list(np.repeat([0.0, 4.0, -2.0], 250))

    assert len(our_alarms(values, spec)) >= 2


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.floats(-100, 100), max_size=60),
    st.integers(1, 20),
    st.floats(0.0, 5.0),
    st.floats(1e-3, 100.0),
    st.floats(0.5, 1.0),
    st.sampled_from(MODES),
)
def test_alarms_on_any_series(
    values: list[float], min_samples: int, delta: float, threshold: float, alpha: float, mode: Mode
) -> None:
    """Any values, any settings, either side: alarm by alarm the same."""
    spec = PageHinkleySpec(min_samples=min_samples, delta=delta, threshold=threshold, alpha=alpha, mode=mode)

    assert our_alarms(values, spec) == rivers_alarms(values, spec)


# --- many series at once ---------------------------------------------------------------------------------------------


def watch(series: FloatArray, spec: DriftSpec) -> list[list[int]]:
    """Where each of the series `(time, batch)` alarms."""
    kind = detector_for(spec)
    batch = series.shape[1]
    state = kind(**{name: np.zeros((batch, *a.shape), dtype=a.dtype) for name, a in kind.arrays(spec).items()})
    alarms = np.zeros(series.shape, dtype=np.bool_)
    for n, values in enumerate(series):
        alarms[n], state = state.update(values, np.ones(batch, dtype=np.bool_), spec)
    return [np.flatnonzero(column).tolist() for column in alarms.T]


def watch_with(detector: Any, series: FloatArray) -> list[int]:
    """Where a detector of river's alarms on a series `(time,)`."""
    found = []
    for n, value in enumerate(series.tolist()):
        detector.update(value)
        if detector.drift_detected:
            found.append(n)
    return found


def noise(rng: np.random.Generator, length: int, batch: int) -> FloatArray:
    return np.abs(rng.normal(size=(length, batch)))


def shifts(rng: np.random.Generator, length: int, batch: int) -> FloatArray:
    """Noise whose level jumps up or down every few hundred values."""
    jumps = np.where(rng.random((length, batch)) < 4 / length, rng.normal(scale=1.5, size=(length, batch)), 0.0)
    return noise(rng, length, batch) + np.cumsum(jumps, axis=0)


def ramps(rng: np.random.Generator, length: int, batch: int) -> FloatArray:
    """Noise on a slope, from none to a steep one."""
    return noise(rng, length, batch) + np.linspace(0, 1, length)[:, None] * rng.uniform(0, 6, batch)


def mistakes(rng: np.random.Generator, length: int, batch: int) -> FloatArray:
    """Zeros and ones, the share of which changes half-way."""
    share = np.where(np.arange(length)[:, None] < length / 2, 0.2, rng.uniform(0, 1, batch))
    return (rng.random((length, batch)) < share).astype(np.float64)


SERIES: dict[str, Callable[[np.random.Generator, int, int], FloatArray]] = {
    "noise": noise,
    "shifts": shifts,
    "ramps": ramps,
    "mistakes": mistakes,
}


@pytest.mark.parametrize("kind", list(SERIES))
@pytest.mark.parametrize(
    "spec",
    [
        AdwinSpec(mode="both"),
        AdwinSpec(mode="both", clock=1, delta=0.05),
        AdwinSpec(mode="both", clock=7, max_buckets=2, min_window_length=1, grace_period=0, delta=0.3),
        AdwinSpec(mode="both", max_buckets=3, delta=1.0, grace_period=500),
    ],
    ids=["default", "every value", "coarse", "late"],
)
def test_adwin_on_many_series(spec: AdwinSpec, kind: str) -> None:
    """Sixty-four series of two thousand values: the same alarms at the same values."""
    series = SERIES[kind](np.random.default_rng(1), 2000, 64)
    expected = [
        watch_with(
            drift.ADWIN(spec.delta, spec.clock, spec.max_buckets, spec.min_window_length, spec.grace_period), column
        )
        for column in series.T
    ]

    assert watch(series, spec) == expected
    assert kind == "noise" or sum(map(len, expected)) > 20  # an agreement on silence would prove little


@settings(max_examples=100)
@given(
    st.lists(st.floats(-100, 100), max_size=120),
    st.floats(1e-6, 1.0),
    st.integers(1, 40),
    st.integers(2, 6),  # with a single bucket of a size river looks for one where there is none, and panics
    st.integers(1, 12),
    st.integers(0, 40),
)
def test_adwin_on_any_series(
    values: list[float], delta: float, clock: int, max_buckets: int, min_window_length: int, grace_period: int
) -> None:
    """Any values, any settings: alarm by alarm the same."""
    spec = AdwinSpec(
        delta=delta,
        clock=clock,
        max_buckets=max_buckets,
        min_window_length=min_window_length,
        grace_period=grace_period,
        mode="both",
    )
    series = np.array(values, dtype=np.float64)
    expected = watch_with(drift.ADWIN(delta, clock, max_buckets, min_window_length, grace_period), series)

    assert watch(series[:, None], spec) == [expected]


samples = st.lists(st.integers(0, 4) | st.floats(-10, 10), min_size=2, max_size=40)


@given(samples, samples)
def test_the_window_tests_statistic(older: list[float], newer: list[float]) -> None:
    """SciPy's two-sample Kolmogorov-Smirnov statistic, ties and all."""
    both = max(gaps(np.array([older]), np.array([newer])))[0]

    assert both / (len(older) * len(newer)) == pytest.approx(
        stats.ks_2samp(older, newer, method="asymp").statistic, abs=1e-12
    )


@pytest.mark.parametrize("alpha", [0.005, 0.05])
def test_the_window_test_on_noise(alpha: float) -> None:
    """Its false alarms are no more frequent than KSWIN's, whose chances are five times as many."""
    series = noise(np.random.default_rng(2), 1500, 8)
    ours = sum(map(len, watch(series, WindowTestSpec(alpha=alpha, mode="both"))))
    rivers = sum(len(watch_with(drift.KSWIN(alpha=alpha, seed=n), column)) for n, column in enumerate(series.T))

    assert ours <= rivers
    assert rivers > 5


@pytest.mark.parametrize("jump", [-5.0, -2.5, 2.5, 5.0])
def test_the_window_test_on_clear_changes(jump: float) -> None:
    """Both find each of them within thirty values, ours no later on the whole; and neither alarms where nothing is."""
    rng = np.random.default_rng(3)
    calm = 6.0 + np.tile(rng.normal(size=(100, 16)), (3, 1))  # repeats itself: windows of a hundred are all alike
    series = np.concatenate([calm, calm + jump])
    ours = watch(series, WindowTestSpec(mode="both", alpha=1e-6))
    rivers = [watch_with(drift.KSWIN(alpha=1e-6, seed=n), column) for n, column in enumerate(series.T)]

    for found in (*ours, *rivers):
        assert 300 <= found[0] < 330
    assert np.mean([found[0] for found in ours]) <= np.mean([found[0] for found in rivers])
    silent = WindowTestSpec(mode="both", alpha=1e-6)
    assert watch(calm, silent) == [[]] * 16
