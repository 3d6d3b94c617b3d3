"""The kernels' drift detectors: the reference's bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_core import ModelSpec
from liquid_core.engine import NativeEngine, Sample, Slab, TorchEngine
from liquid_core.spec import (
    AdwinSpec,
    CfCSpec,
    DriftSpec,
    LearnerSpec,
    NoDriftSpec,
    PageHinkleySpec,
    WindowTestSpec,
)

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


def untaught(drift: DriftSpec) -> ModelSpec:
    """A model whose network does not learn within a test, so that its errors have no bits of the network's."""
    learner = LearnerSpec(window=1, warmup=100_000, drift=drift)
    return ModelSpec(
        task="forecast", features=("a",), cell=CfCSpec(units=1, backbone_layers=0), learner=learner, late="clamp"
    )


def walk(seed: int, length: int) -> list[list[float]]:
    """Values whose steps are wide at one time and narrow at another, and at times none at all: `(length, STREAMS)`."""
    rng = np.random.default_rng(seed)
    width = np.exp(np.cumsum(rng.normal(size=(length, STREAMS)) * (rng.random((length, STREAMS)) < 0.03), axis=0) * 2)
    steps = rng.normal(size=(length, STREAMS)) * width * (rng.random((length, STREAMS)) < 0.9)
    return np.cumsum(steps, axis=0).tolist()


@pytest.mark.parametrize("name", list(DETECTORS))
def test_the_state_is_the_references(name: str) -> None:
    """Bit by bit, after every sample, through many alarms."""
    spec = untaught(DETECTORS[name])
    reference, native = TorchEngine(spec), NativeEngine(spec)
    ours, theirs = Slab(native.layout), Slab(reference.layout)
    slots = [ours.load(native.initial_row()) for _ in range(STREAMS)]
    others = [theirs.load(reference.initial_row()) for _ in range(STREAMS)]
    watched = [field.name for field in native.layout.fields if field.name.startswith("drift.")]
    alarms = 0
    for seq, values in enumerate(walk(7, 300), start=1):
        records = [Sample(seq=seq, t=float(seq), x=(value,)) for value in values]
        # From the reference's answers: least squares, which have other last bits, are not what is looked at here.
        ours.rows[slots] = theirs.rows[others]
        found, expected = native.step(ours, slots, records), reference.step(theirs, others, records)
        np.testing.assert_array_equal(found.surprise, expected.surprise)
        np.testing.assert_array_equal(found.drift, expected.drift)
        a, b = native.layout.views(ours.rows), reference.layout.views(theirs.rows)
        for field in (*watched, "stream.drifts", "stream.last_drift_seq"):
            np.testing.assert_array_equal(a[field][slots], b[field][others], err_msg=field)
        alarms += int(found.drift.sum())

    assert bool(watched) == (name != "none")
    assert (alarms > 5) == (name != "none")


@settings(max_examples=10)
@given(name=st.sampled_from(sorted(DETECTORS)), seed=st.integers(0, 2**32 - 1), learns=st.booleans())
def test_the_answers_are_the_references(*, name: str, seed: int, learns: bool) -> None:
    """Drawn series, with and without a network that learns: the same alarms, step by step."""
    spec = untaught(DETECTORS[name])
    if learns:
        spec = ModelSpec(
            task="forecast",
            features=("a",),
            cell=CfCSpec(units=2, backbone_layers=0),
            learner=LearnerSpec(window=1, drift=DETECTORS[name]),
        )
    reference, native = TorchEngine(spec, np.float64), NativeEngine(spec, np.float64)
    ours, theirs = Slab(native.layout), Slab(reference.layout)
    slots = [ours.load(native.initial_row()) for _ in range(STREAMS)]
    others = [theirs.load(reference.initial_row()) for _ in range(STREAMS)]
    for seq, values in enumerate(walk(seed, 60), start=1):
        records = [Sample(seq=seq, t=float(seq), x=(value,)) for value in values]
        ours.rows[slots] = theirs.rows[others]
        found, expected = native.step(ours, slots, records), reference.step(theirs, others, records)
        np.testing.assert_array_equal(found.drift, expected.drift)


def test_a_row_has_the_arrays_of_its_detector_only() -> None:
    """And those of no other; without a detector there are none."""
    sizes = {name: NativeEngine(untaught(spec)).layout.row_bytes for name, spec in DETECTORS.items()}

    assert sizes["none"] < sizes["page_hinkley"] < sizes["window_test"] < sizes["adwin"]
    assert sizes["adwin"] - sizes["none"] >= 24 * (6 + 1) * 8
