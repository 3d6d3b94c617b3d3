"""`river` as the oracle: our Page-Hinkley test alarms where river's does, alarm by alarm."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift

from liquid_core.learner.drift import PageHinkley
from liquid_core.spec import PageHinkleySpec

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
