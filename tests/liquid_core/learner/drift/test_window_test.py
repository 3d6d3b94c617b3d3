"""Window test: the statistic by definition, and a window that slides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.learner.drift.window_test import WindowTest, critical_gap, gaps
from liquid_core.spec import WindowTestSpec
from liquid_core.types import FloatArray

from .watching import alarms_of, noise, watch

#: Few values, so that many are equal.
values = st.lists(st.integers(-3, 3) | st.floats(-5, 5), min_size=1, max_size=12)


@given(values, values)
def test_gaps_are_those_of_the_definition(older: list[float], newer: list[float]) -> None:
    """The largest difference of the two shares, over every point where either jumps; ties and all."""
    points = [*older, *newer]
    ahead = [sum(v <= p for v in older) * len(newer) - sum(v <= p for v in newer) * len(older) for p in points]
    rise, fall = gaps(np.array([older]), np.array([newer]))

    assert (rise[0], fall[0]) == (max(0, *ahead), max(0, *(-a for a in ahead)))


def test_the_critical_gap_is_the_tables() -> None:
    """Smirnov's for large samples: 1.36 and 1.63 times the root of (n + m) / (n m), at 5 and at 1 percent."""
    for alpha, factor in ((0.05, 1.358), (0.01, 1.628)):
        spec = WindowTestSpec(alpha=alpha, window=100, recent=30)
        assert critical_gap(spec) / (70 * 30) == pytest.approx(factor * np.sqrt(100 / (70 * 30)), rel=1e-3)


def first_alarm_by_definition(series: FloatArray, spec: WindowTestSpec) -> int | None:
    """Windows cut out of the series, not kept in a ring."""
    for end in range(spec.window, len(series) + 1):
        if end % spec.clock:
            continue
        window = series[None, end - spec.window : end]
        if max(gaps(window[:, : -spec.recent], window[:, -spec.recent :])) > critical_gap(spec):
            return end - 1
    return None


@pytest.mark.parametrize(
    "spec",
    [
        WindowTestSpec(mode="both"),
        WindowTestSpec(window=37, recent=11, clock=1, alpha=0.02, mode="both"),
        WindowTestSpec(window=10, recent=9, clock=7, alpha=0.4, mode="both"),
        WindowTestSpec(window=12, recent=1, clock=3, alpha=0.5, mode="both"),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_the_first_alarm_is_that_of_the_definition(spec: WindowTestSpec, seed: int) -> None:
    """For windows of several shapes, whose rings go round several times."""
    series = noise(seed, 500)[:, 0] + np.repeat([0.0, 1.5], [400, 100])
    found = alarms_of(series, spec)

    assert (found[0] if found else None) == first_alarm_by_definition(series, spec)


def test_it_sees_a_change_of_spread() -> None:
    """The mean stays, the values come to lie wider."""
    rng = np.random.default_rng(0)
    series = 5.0 + rng.normal(size=600) * np.repeat([0.2, 3.0], 300)

    assert alarms_of(series[:300], WindowTestSpec(mode="both")) == []
    assert 300 <= alarms_of(series, WindowTestSpec(mode="both"))[0] < 330


def test_only_the_window_counts() -> None:
    """What came before it left no trace."""
    spec = WindowTestSpec(mode="both")
    _, after = watch(np.arange(250.0)[:, None] % 7, spec)
    _, other = watch(np.concatenate([np.zeros(50), np.arange(100.0, 250.0)])[:, None] % 7, WindowTestSpec(alpha=1e-12))

    assert isinstance(after, WindowTest)
    assert isinstance(other, WindowTest)
    np.testing.assert_array_equal(np.sort(after.values), np.sort(np.arange(150.0, 250.0)[None] % 7))
    np.testing.assert_array_equal(np.sort(after.values), np.sort(other.values))
