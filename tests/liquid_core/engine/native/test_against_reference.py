"""The native engine's steps against the reference's: all that a stream is, after every record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_core import ModelSpec
from liquid_core.engine import NativeEngine, Sample, Slab, TorchEngine, Update
from liquid_core.learner.upset import LONGEST
from liquid_core.spec import AutoNCPSpec, CfCSpec, LearnerSpec, LTCSpec, WiredCfCSpec
from liquid_core.types import ByteArray

from .conftest import history
from .specs import specs

#: Parts that never meet the network: the kernels' formulas are the reference's, operation for operation.
EXACT = ("stream.", "clock.", "scaler.", "guess.", "history.", "season.", "residual.", "anomaly.count",
         "anomaly.level", "upset.age", "upset.calm", "upset.broken", "upset.by_label", "upset.credit",
         "answers.seq", "answers.fingerprint", "window.seq", "window.elapsed",
         "window.inputs", "window.labelled", "window.label", "window.guessed", "window.mean_guess", "window.last_guess",
         "window.base", "window.history", "window.scale")  # fmt: skip
RESULTS = ("prediction", "median", "half_width", "anomaly", "surprise", "drift", "update")


def check_row(native: NativeEngine, row: ByteArray, reference: TorchEngine, expected: ByteArray) -> None:
    """Each array is the reference's."""
    ours, theirs = native.layout.views(row[None]), reference.layout.views(expected[None])
    for name in ours:
        x, y = ours[name][0], theirs[name][0]
        if name.startswith(EXACT):
            np.testing.assert_array_equal(x, y, err_msg=name)
        elif not np.allclose(x, y, rtol=1e-10, atol=1e-10):
            # Where a gradient all but vanishes, its last bits decide the direction of Adam's step.
            assert name in ("network.weights", "window.hidden", "window.said", "window.mixed", "window.prediction",
                            "answers.prediction"), name  # fmt: skip
            np.testing.assert_allclose(x, y, atol=1e-6, err_msg=name)


@settings(max_examples=40, deadline=None)
@given(
    spec=specs(),
    seed=st.integers(0, 99),
    num_samples=st.sampled_from([14, 14, 50]),
    frozen=st.sampled_from([(0, 0), (0, 0), (5, 9), (10, 99)]),
)
def test_every_step_is_the_references(spec: ModelSpec, seed: int, num_samples: int, frozen: tuple[int, int]) -> None:
    """In float64, from the same row, one record leads both engines to the same row and answer, to 1e-10; learned from
    or, from one record to another one, frozen."""
    reference, native = TorchEngine(spec, np.float64), NativeEngine(spec, np.float64)
    ours, theirs = Slab(native.layout), Slab(reference.layout)
    slot, other = ours.load(native.initial_row()), theirs.load(reference.initial_row())
    for number, record in enumerate(history(spec, seed, num_samples)):
        reference.layout.views(theirs.rows)["stream.frozen"][other] = frozen[0] <= number < frozen[1]
        # Each step starts from the reference's row: a difference in the last bit must not grow over many steps.
        ours.rows[slot] = theirs.rows[other]
        found = native.step(ours, [slot], [record])
        expected = reference.step(theirs, [other], [record])

        for name in RESULTS:
            a, b = getattr(found, name), getattr(expected, name)
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10, err_msg=name)
        check_row(native, ours.rows[slot], reference, theirs.rows[other])


@pytest.mark.parametrize("task", ["forecast", "regression", "classification"])
@pytest.mark.parametrize("wild", ["sample", "label"])
@pytest.mark.parametrize("credit", [3.0, 0.5])
def test_an_upset_is_the_references(task: str, wild: str, credit: float) -> None:
    """Five wild records after sixty: what was usual is kept, and is usual again when the stream has calmed down, which
    takes longer without credit; where labels are classes, none of them is wild."""
    assert credit_after(task, wild, wilds={60: 1e6}, ends=120, credit=credit) == pytest.approx(
        credit - (wild == "sample" or task == "regression"), abs=0.01
    )


def test_an_upset_in_a_stream_that_has_changed_is_the_references() -> None:
    """What has become usual since the first upset is kept, and then it is usual again."""
    credit = credit_after("forecast", "sample", wilds={60: 1e3, 70: 1e9}, ends=95, old_at=69)
    assert credit == pytest.approx(2.0, abs=0.01)


def credit_after(
    task: str, wild: str, *, wilds: dict[int, float], ends: int, credit: float = 3.0, old_at: int = -1
) -> float:
    """The returns that a stream has left, stepped by both engines, after five wild records each time.

    At `old_at` an upset that is under way has lasted so long that the stream may have changed.
    """
    learner = LearnerSpec(window=1, season_window=16, label_horizon=2)
    spec = ModelSpec(features=("a", "b"), learner=learner, cell=CfCSpec(units=2, backbone_layers=0), **TASKS[task])
    reference, native = TorchEngine(spec, np.float64), NativeEngine(spec, np.float64)
    ours, theirs = Slab(native.layout), Slab(reference.layout)
    slot, other = ours.load(native.initial_row()), theirs.load(reference.initial_row())
    views = reference.layout.views(theirs.rows)
    views["upset.credit"][other] = credit
    rng = np.random.default_rng(0)
    for n in range(ends):
        if n == old_at:
            views["upset.age"][other] = 2 * LONGEST
        far = next((size for at, size in wilds.items() if at <= n < at + 5), 0.0)
        x = rng.normal(size=2) + (far if wild == "sample" else 0.0)
        y = {"forecast": None, "regression": (float(rng.normal() + (far if wild == "label" else 0.0)),)}.get(
            task, (1.0,)
        )
        record = Sample(seq=n + 1, t=float(n), x=tuple(x.tolist()), y=y)
        ours.rows[slot] = theirs.rows[other]
        native.step(ours, [slot], [record])
        reference.step(theirs, [other], [record])
        check_row(native, ours.rows[slot], reference, theirs.rows[other])
    return float(views["upset.credit"][other])


NCP = AutoNCPSpec(units=12, outputs=3)
LONG: dict[str, dict[str, Any]] = {
    "cfc": {"cell": CfCSpec(units=8, backbone_units=12)},
    "cfc-deep-silu": {"cell": CfCSpec(units=6, backbone_units=9, backbone_layers=2, activation="silu", mode="no_gate")},
    "cfc-pure": {"cell": CfCSpec(units=6, backbone_layers=0, mode="pure")},
    "wired": {"cell": WiredCfCSpec(), "wiring": NCP},
    "ltc": {"cell": LTCSpec(ode_unfolds=2), "wiring": NCP},
    "ltc-explicit": {"cell": LTCSpec(ode_unfolds=1, constraints="explicit", input_mapping="linear"), "wiring": NCP},
}
TASKS: dict[str, dict[str, Any]] = {
    "forecast": {"task": "forecast", "horizon": (1, 2)},
    "regression": {"task": "regression", "targets": ("u",)},
    "classification": {"task": "classification", "classes": ("red", "green", "blue")},
}


@pytest.mark.slow
@pytest.mark.parametrize("cell", list(LONG))
@pytest.mark.parametrize("task", list(TASKS))
def test_a_thousand_steps_in_float32_stay_together(task: str, cell: str) -> None:
    """Eight streams of each engine, never set back: answers stay within 0.02 residual scales (typically 1e-5), and
    nearly all updates, alarms and skips are the same ones."""
    learner = LearnerSpec(window=2, label_horizon=8)
    spec = ModelSpec(features=("a", "b"), late="clamp", learner=learner, **TASKS[task], **LONG[cell])
    reference, native = TorchEngine(spec), NativeEngine(spec)
    ours, theirs = Slab(native.layout), Slab(reference.layout)
    streams = [history(spec, seed, 1000)[:1000] for seed in range(8)]
    slots = [ours.load(native.initial_row()) for _ in streams]
    others = [theirs.load(reference.initial_row()) for _ in streams]
    distances, same = [], []
    for records in zip(*streams, strict=True):
        found, expected = native.step(ours, slots, records), reference.step(theirs, others, records)
        scale = np.where(expected.half_width > 0, expected.half_width, 1.0)
        distances.append(np.abs(found.prediction - expected.prediction) / scale)
        if spec.num_medians:
            distances.append(np.abs(found.median - expected.median) / scale)
        same += (found.update == expected.update).tolist()

    assert np.max(distances) < 0.02
    assert np.median(distances) < 1e-4
    assert np.mean(same) == 1.0
    assert (native.layout.views(ours.rows[slots])["stream.updates"] > 300).all()


def test_a_look_ahead_is_the_references() -> None:
    """Without learning, and without a trace."""
    spec = ModelSpec(task="forecast", features=("a", "b"), horizon=(1, 3), **LONG["ltc"])
    reference, native = TorchEngine(spec, np.float64), NativeEngine(spec, np.float64)
    slab = Slab(native.layout)
    slot = slab.load(native.initial_row())
    for record in history(spec, 0, 20):
        native.step(slab, [slot], [record])
    before = slab.rows.copy()
    sample = Sample(seq=21, t=1e9, x=(0.3, np.nan))
    found, expected = native.peek(slab, slot, sample), reference.peek(slab, slot, sample)

    np.testing.assert_array_equal(slab.rows, before)
    np.testing.assert_allclose(found.prediction, expected.prediction, rtol=1e-10)
    np.testing.assert_allclose(found.median, expected.median, rtol=1e-10)
    np.testing.assert_array_equal(found.half_width, expected.half_width)
    assert found.update.tolist() == [Update.NONE]
