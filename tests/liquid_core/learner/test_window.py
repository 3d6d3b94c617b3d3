"""The window: what is kept of the last samples, and which of them are unrolled."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core import ModelSpec
from liquid_core.learner.window import Stretch, Window, stretches_for
from liquid_core.spec import LearnerSpec


def forecast(horizons: tuple[int, ...], window: int) -> ModelSpec:
    return ModelSpec(task="forecast", features=("a",), horizon=horizons, learner=LearnerSpec(window=window))


def test_the_next_sample_needs_one_stretch() -> None:
    """Horizon 1: the window's samples up to the last one before the target's."""
    assert stretches_for(forecast((1,), 4)) == (Stretch(-4, -1, (1,)),)


def test_a_day_ahead_has_a_stretch_of_its_own() -> None:
    """Horizons 1 and 24 do not meet: two stretches, the older one first."""
    assert stretches_for(forecast((1, 24), 4)) == (Stretch(-27, -24, (24,)), Stretch(-4, -1, (1,)))


def test_all_horizons_of_a_day_are_one_stretch() -> None:
    """What overlaps is unrolled once, behind the longest horizon."""
    assert stretches_for(forecast(tuple(range(1, 25)), 4)) == (Stretch(-27, -1, tuple(range(24, 0, -1))),)


def test_stretches_that_touch_are_joined() -> None:
    """A gap of one sample keeps them apart, none does not."""
    assert len(stretches_for(forecast((1, 5), 4))) == 1
    assert len(stretches_for(forecast((1, 6), 4))) == 2


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_label_has_one_stretch(task: str) -> None:
    """It ends at the labelled sample."""
    names = {"targets": ("y",)} if task == "regression" else {"classes": ("a", "b")}
    spec = ModelSpec(task=task, features=("a",), learner=LearnerSpec(window=5), **names)  # type: ignore[arg-type]

    assert stretches_for(spec) == (Stretch(-4, 0, (0,)),)
    assert Window.length_for(spec) == 5 + 256 + 1


@given(st.sets(st.integers(1, 60), min_size=1, max_size=8), st.integers(1, 20))
def test_every_target_has_its_window_and_no_sample_is_run_twice(horizons: set[int], window: int) -> None:
    """Each horizon's window lies in one stretch; stretches are disjoint, in order, and within the ring."""
    spec = forecast(tuple(horizons), window)
    stretches = stretches_for(spec)

    assert [h for stretch in stretches for h in stretch.horizons] == sorted(horizons, reverse=True)
    for stretch in stretches:
        assert all(stretch.first <= -h - window + 1 and -h <= stretch.last for h in stretch.horizons)
        assert len(stretch) == stretch.last - stretch.first + 1
    for before, after in itertools.pairwise(stretches):
        assert before.last + 1 < after.first
    # The oldest thing needed is the hidden state before the first stretch, when the newest sample is number -1.
    assert stretches[0].first - 1 >= -Window.length_for(spec)
