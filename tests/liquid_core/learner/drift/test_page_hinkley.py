"""Page-Hinkley: an alarm soon after a change, and seldom without one."""

from __future__ import annotations

import numpy as np
import pytest

from liquid_core.learner.drift import PageHinkley
from liquid_core.spec import PageHinkleySpec
from liquid_core.types import FloatArray


def fresh(batch: int = 1) -> PageHinkley:
    return PageHinkley(np.zeros(batch, dtype=np.int64), *(np.zeros(batch) for _ in range(5)))


def alarms(series: FloatArray, spec: PageHinkleySpec) -> list[int]:
    """Where in a series `(time,)` the test alarms; NaN is not observed."""
    state, found = fresh(), []
    for n, value in enumerate(series):
        observed = ~np.isnan(np.array([value]))
        alarm, state = state.update(np.where(observed, value, 0.0), observed, spec)
        if alarm[0]:
            found.append(n)
    return found


NOISE = np.abs(np.random.default_rng(0).normal(size=2000))
RISE, FALL = NOISE + np.repeat([0, 3], 1000), NOISE + np.repeat([3, 0], 1000)


def test_steady_noise_raises_no_alarm() -> None:
    """With the default settings an error that stays as it is never alarms."""
    for mode in ("up", "down", "both"):
        assert alarms(NOISE, PageHinkleySpec(mode=mode)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(("mode", "rises", "falls"), [("up", 1, 0), ("down", 0, 1), ("both", 1, 1)])
def test_a_mode_watches_its_own_side(mode: str, rises: int, falls: int) -> None:
    """A rise alarms within a few tens of values in modes "up" and "both"; a fall in "down" and "both"."""
    spec = PageHinkleySpec(mode=mode)  # type: ignore[arg-type]

    assert len(alarms(RISE, spec)) >= rises
    assert len(alarms(FALL, spec)) >= falls
    assert not rises or 1000 <= alarms(RISE, spec)[0] < 1040
    assert not falls or 1000 <= alarms(FALL, spec)[0] < 1040
    assert rises or alarms(RISE, spec) == []
    assert falls or alarms(FALL, spec) == []


def test_it_starts_anew_after_an_alarm() -> None:
    """What comes after an alarm is judged as if nothing had been before."""
    first, *later = alarms(RISE, PageHinkleySpec(threshold=5.0))

    assert later == [first + 1 + n for n in alarms(RISE[first + 1 :], PageHinkleySpec(threshold=5.0))]


def test_it_is_silent_at_first() -> None:
    """Fewer than `min_samples` values are not judged."""
    series = np.repeat([0.0, 1000.0], 10)

    assert alarms(series, PageHinkleySpec(min_samples=30)) == []
    assert alarms(series, PageHinkleySpec(min_samples=5)) != []


def test_what_is_not_observed_changes_nothing() -> None:
    """Gaps leave the test where it was."""
    with_gaps = np.full(2 * len(RISE), np.nan)
    with_gaps[::2] = RISE

    assert alarms(with_gaps, PageHinkleySpec()) == [2 * n for n in alarms(RISE, PageHinkleySpec())]


def test_streams_are_judged_each_by_itself() -> None:
    """A neighbour's alarm resets nobody else."""
    state, found = fresh(2), []
    for values in zip(RISE, NOISE, strict=True):
        alarm, state = state.update(np.array(values), np.ones(2, dtype=np.bool_), PageHinkleySpec())
        found.append(alarm)

    assert np.flatnonzero(np.array(found)[:, 0]).tolist() == alarms(RISE, PageHinkleySpec())
    assert not np.array(found)[:, 1].any()
    assert state.count[1] == 2000
