"""The kernels' drift detectors: the bits of the learner's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_core import ModelSpec
from liquid_core.engine import NativeEngine, Sample, Slab
from liquid_core.spec import (
    AdwinSpec,
    CfCSpec,
    DriftSpec,
    LearnerSpec,
    NoDriftSpec,
    PageHinkleySpec,
    WindowTestSpec,
)
from tests.liquid_core.learner.drift.watching import fresh, state

#: Side by side, so that many series are cheap.
STREAMS = 32
DETECTORS: dict[str, DriftSpec] = {
    "page_hinkley": PageHinkleySpec(min_samples=5, threshold=3.0, mode="both"),
    "page_hinkley-up": PageHinkleySpec(min_samples=5, threshold=3.0),
    "adwin": AdwinSpec(mode="both", clock=8),
    "adwin-default": AdwinSpec(),
    "adwin-small": AdwinSpec(levels=3, max_buckets=3, clock=1, delta=1.0, min_window_length=2, mode="both"),
    "adwin-single": AdwinSpec(levels=4, max_buckets=1, clock=3, delta=0.3, min_window_length=1, grace_period=0),
    "adwin-down": AdwinSpec(clock=4, delta=0.1, mode="down"),
    "window_test": WindowTestSpec(mode="both"),
    "window_test-small": WindowTestSpec(window=11, recent=4, clock=1, alpha=0.1, mode="both"),
    "window_test-up": WindowTestSpec(window=40, recent=25, clock=3, alpha=0.05),
    "window_test-one": WindowTestSpec(window=4, recent=1, clock=2, alpha=0.5, mode="down"),
    "none": NoDriftSpec(),
}


def model(drift: DriftSpec) -> ModelSpec:
    """A small one that learns from the first errors on."""
    learner = LearnerSpec(window=1, drift=drift)
    cell = CfCSpec(units=2, backbone_layers=0)
    return ModelSpec(task="forecast", features=("a",), cell=cell, learner=learner, late="clamp")


def walk(seed: int, length: int) -> list[list[float]]:
    """Values whose steps are wide at one time and narrow at another, and at times none at all: `(length, STREAMS)`."""
    rng = np.random.default_rng(seed)
    width = np.exp(np.cumsum(rng.normal(size=(length, STREAMS)) * (rng.random((length, STREAMS)) < 0.03), axis=0) * 2)
    steps = rng.normal(size=(length, STREAMS)) * width * (rng.random((length, STREAMS)) < 0.9)
    return np.cumsum(steps, axis=0).tolist()


def check(name: str, series: list[list[float]]) -> int:
    """The kernels' alarms and states are, bit by bit and after every sample, those of the learner's detector that is
    told the same surprises; how many alarms there were."""
    spec = DETECTORS[name]
    engine, detector = NativeEngine(model(spec)), fresh(spec, STREAMS)
    slab = Slab(engine.layout)
    slots = [slab.load(engine.initial_row()) for _ in range(STREAMS)]
    drifts, last = np.zeros((2, STREAMS), dtype=np.int64)
    for seq, values in enumerate(series, start=1):
        found = engine.step(slab, slots, [Sample(seq=seq, t=float(seq), x=(value,)) for value in values])
        alarm, detector = detector.update(found.surprise, found.surprise >= 0, spec)
        drifts, last = drifts + alarm, np.where(alarm, seq, last)
        np.testing.assert_array_equal(found.drift, alarm)
        views = engine.layout.views(slab.rows[slots])
        for field, expected in state(detector).items():
            np.testing.assert_array_equal(views[f"drift.{field}"], expected, err_msg=field)
        np.testing.assert_array_equal(views["stream.drifts"], drifts)
        np.testing.assert_array_equal(views["stream.last_drift_seq"], last)
    return int(drifts.sum())


@pytest.mark.parametrize("name", list(DETECTORS))
def test_the_state_is_the_learners(name: str) -> None:
    """Through many alarms, where there is a detector."""
    assert (check(name, walk(7, 300)) > 5) == (name != "none")


@settings(max_examples=10)
@given(name=st.sampled_from(sorted(DETECTORS)), seed=st.integers(0, 2**32 - 1))
def test_the_state_is_the_learners_on_any_series(name: str, seed: int) -> None:
    """On drawn ones."""
    check(name, walk(seed, 60))


def test_a_row_has_the_arrays_of_its_detector_only() -> None:
    """And those of no other; without a detector there are none."""
    sizes = {name: NativeEngine(model(spec)).layout.row_bytes for name, spec in DETECTORS.items()}

    assert sizes["none"] < sizes["page_hinkley"] < sizes["window_test"] < sizes["adwin"]
    assert sizes["adwin"] - sizes["none"] >= 24 * (6 + 1) * 8
