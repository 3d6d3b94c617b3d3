"""After an attack a stream comes back by itself, and soon."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from liquid_core import ModelSpec, control
from liquid_core.engine import Engine, NativeEngine, Observation, Reset, Sample, Slab
from liquid_core.types import ByteArray, FloatArray

#: Samples before, during and after.
BEFORE, DURING, LASTING, AFTER = 400, 200, 3000, 600
RNG = np.random.default_rng(7)
N = np.arange(BEFORE + LASTING + AFTER)
#: A wave that a stream knows well by the time of the attack.
WAVE: FloatArray = 3.0 + np.sin(2 * np.pi * N / 23) + 0.05 * RNG.normal(size=len(N))
NOW = slice(BEFORE, BEFORE + DURING)
ALTERNATING = np.where(np.arange(DURING) % 2, 1.0, -1.0)
ATTACKS: dict[str, FloatArray] = {
    "nothing at all": np.full(DURING, np.nan),
    "always the same": np.full(DURING, 7.0),
    "all but the same": 3.0 + 1e-9 * RNG.normal(size=DURING),
    "another level, far away": WAVE[NOW] + 1e9,
    "a single value": np.where(np.arange(DURING) == 0, 1e9, WAVE[NOW]),
    "twenty values": np.where(np.arange(DURING) < 20, 1e6 * ALTERNATING, WAVE[NOW]),
    "alternating": 1e9 * ALTERNATING,
    "alternating, not so far": 1e3 * ALTERNATING,
    "alternating extremes": 1e30 * ALTERNATING,
    "a steep ramp": 1e6 * np.arange(DURING),
    "noise without a mean": 10.0 * RNG.standard_cauchy(DURING),
}
#: Attacks that go on for so long that a stream might be taken to have changed.
LASTING_ATTACKS: dict[str, FloatArray] = {
    "alternating": np.where(np.arange(LASTING) % 2, 1e9, -1e9),
    "noise": 1e6 * RNG.normal(size=LASTING),
    "noise, not so far": 50.0 * RNG.normal(size=LASTING),
    "now and then": np.where(RNG.random(LASTING) < 0.05, 1e9, WAVE[BEFORE : BEFORE + LASTING]),
}
CELLS = ["cfc", "ltc"]
TASKS: dict[str, dict[str, Any]] = {
    "forecast": {"task": "forecast", "features": ("a",)},
    "regression": {"task": "regression", "features": ("a",), "targets": ("y",)},
}
#: Samples after which a stream is back.
SOON = 300


def records(task: str, during: FloatArray) -> list[Observation]:
    """The wave, with `during` in its place for a while. Regression: the label is the value, the feature that before."""
    values = WAVE[: BEFORE + len(during) + AFTER].copy()
    values[BEFORE : BEFORE + len(during)] = during
    made: list[Observation] = []
    for n, value in enumerate(values):
        x, y = (float(value),), None
        if task == "regression":
            x, y = (float(WAVE[n - 1]),), None if np.isnan(value) else (float(value),)
        made.append(Sample(seq=n + 1, t=60.0 * n, x=x, y=y))
    return made


def fold(engine: Engine, row: ByteArray, given: list[Observation]) -> tuple[ByteArray, FloatArray]:
    """The row after the records, and what was predicted with each of them."""
    slab = Slab(engine.layout)
    slot = slab.load(row)
    results = engine.step(slab, [slot] * len(given), given)
    assert np.isfinite(results.prediction).all()
    assert np.isfinite(results.median).all()
    assert np.isfinite(results.half_width).all()
    return slab.read(slot), results.prediction[:, 0]


def error(task: str, predicted: FloatArray, first: int) -> float:
    """Mean error of predictions made with sample `first` and those after it, against the wave itself."""
    truth = WAVE[first + 1 :] if task == "forecast" else WAVE[first : first + len(predicted)]
    return float(np.abs(predicted[: len(truth)] - truth[: len(predicted)]).mean())


def engine_of(task: str, cell: Any) -> NativeEngine:
    return NativeEngine(ModelSpec(cell=cell, **TASKS[task]))


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("attack", list(ATTACKS))
def test_a_stream_comes_back_by_itself(task: str, cell: str, attack: str) -> None:
    """Three hundred samples later its error is less than twice what it would be without the attack; that of persistence
    is six times."""
    engine = engine_of(task, cell)
    first = BEFORE + DURING + SOON
    _, predicted = fold(engine, engine.initial_row(), records(task, ATTACKS[attack]))
    _, undisturbed = fold(engine, engine.initial_row(), records(task, WAVE[NOW]))

    assert error(task, predicted[first:], first) < 2 * error(task, undisturbed[first:], first)


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("attack", list(LASTING_ATTACKS))
def test_a_stream_comes_back_after_a_long_time(task: str, attack: str) -> None:
    """As well: what was usual before is not forgotten. Where calm was broken again and again it takes its time."""
    engine = engine_of(task, "cfc")
    first = BEFORE + LASTING + SOON
    _, predicted = fold(engine, engine.initial_row(), records(task, LASTING_ATTACKS[attack]))
    _, undisturbed = fold(engine, engine.initial_row(), records(task, WAVE[BEFORE : BEFORE + LASTING]))

    assert error(task, predicted[first:], first) < 2 * error(task, undisturbed[first:], first)


@pytest.mark.parametrize("task", list(TASKS))
def test_intervals_and_scores_come_back_too(task: str) -> None:
    """They are measured in the same scales: neither as wide as the attack was, nor is nothing unusual any more."""
    engine = engine_of(task, "cfc")
    after, before = ({}, {})
    for rows, during in ((after, 1e9 * ALTERNATING), (before, WAVE[NOW])):
        row, _ = fold(engine, engine.initial_row(), records(task, during))
        rows |= {name: view[0] for name, view in engine.layout.views(row[None]).items()}

    for name in ("residual.square", "scaler.variance", "scaler.change_square", "history.variance", "anomaly.square"):
        np.testing.assert_array_less(after[name], 4.0 * before[name] + 1.0, err_msg=name)
    assert (after["window.half_width"].max(axis=0) < 3 * before["window.half_width"].max(axis=0)).all()


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("attack", ["alternating", "a steep ramp"])
def test_a_reset_ends_an_attack_at_once(task: str, attack: str) -> None:
    """Three hundred samples later a stream is where one is that was never attacked, to a third."""
    engine = engine_of(task, "cfc")
    given, end = records(task, ATTACKS[attack]), BEFORE + DURING
    first = end + SOON
    row, _ = fold(engine, engine.initial_row(), given[:end])
    _, predicted = fold(engine, control.apply(Reset(), row, engine, engine), given[end:])
    _, undisturbed = fold(engine, engine.initial_row(), records(task, WAVE[NOW]))

    assert error(task, predicted[SOON:], first) < 1.33 * error(task, undisturbed[first:], first)


@pytest.mark.parametrize("cell", CELLS)
def test_labels_that_lie_are_unlearned(cell: str) -> None:
    """Two hundred labels turned round; three hundred true ones later it errs no more than without them, but for one in
    fifty."""
    engine = NativeEngine(ModelSpec(task="classification", features=("a",), classes=("low", "high"), cell=cell))
    truth = (WAVE > 3.0).astype(float)
    errors = []
    for lie in (False, True):
        labels = truth.copy()
        labels[NOW] = 1.0 - labels[NOW] if lie else labels[NOW]
        given: list[Observation] = [
            Sample(seq=n + 1, t=60.0 * n, x=(float(WAVE[n]),), y=(float(labels[n]),)) for n in range(len(N))
        ]
        slab = Slab(engine.layout)
        slot = slab.load(engine.initial_row())
        likeliest = engine.step(slab, [slot] * len(given), given).prediction.argmax(axis=1)
        errors.append(float((likeliest != truth)[BEFORE + DURING + SOON :].mean()))

    assert errors[1] <= errors[0] + 0.02
