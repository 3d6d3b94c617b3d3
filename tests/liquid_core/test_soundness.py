"""A state from elsewhere is taken only if its numbers are such as steps make; what is taken does no harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from liquid_core import StateFormatError, soundness
from liquid_core.engine import Engine, Slab
from liquid_core.spec import AdwinSpec, WindowTestSpec
from liquid_core.types import ByteArray

TASKS = ["forecast", "regression", "classification"]
DRIFTS = [None, AdwinSpec(clock=2, grace_period=2, levels=4), WindowTestSpec(window=50, recent=20, clock=1)]


@pytest.fixture
def engine_of(bench: Any, make_engine: Any) -> Callable[..., Engine]:
    def get(task: str, cell: str = "cfc", drift: Any = None) -> Engine:
        if drift is None:
            found: Engine = bench.engine(task, cell)
            return found
        spec = bench.spec(task, cell)
        made: Engine = make_engine(
            msgspec.structs.replace(spec, learner=msgspec.structs.replace(spec.learner, drift=drift))
        )
        return made

    return get


def learned(bench: Any, engine: Engine, seed: int, samples: int = 60) -> ByteArray:
    row, _ = bench.fold(engine, bench.records(engine.spec, seed, samples))
    return np.array(row)


def spoil(engine: Engine, row: ByteArray, rng: np.random.Generator) -> str:
    """Put numbers from all over its range into one of the row's arrays; its name."""
    names = [field for field in engine.layout.fields if field.num_bytes and field.dtype.kind != "b"]
    field = names[rng.integers(len(names))]
    low, high = soundness.range_of(field)
    view = engine.layout.views(row[None])[field.name]
    kind = rng.integers(4)
    if kind == 0:
        view[...] = low
    elif kind == 1:
        view[...] = high
    elif field.dtype.kind == "i":
        view[...] = rng.integers(0, 300, view.shape)
    else:
        sign = rng.choice([-1.0, 1.0], view.shape) if low < 0 else 1.0
        with np.errstate(over="ignore"):
            view[...] = np.clip(sign * high * 10.0 ** -rng.uniform(0, 40, view.shape), low, high)
    return field.name


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("drift", DRIFTS)
@pytest.mark.parametrize("cell", ["cfc", "ltc"])
def test_what_steps_make_is_sound(engine_of: Any, bench: Any, task: str, cell: str, drift: Any) -> None:
    """From the first record on, whatever has come."""
    engine = engine_of(task, cell, drift)
    row = engine.initial_row()
    for record in bench.records(engine.spec, 1, 60):
        soundness.check(engine.layout, engine.spec, row)
        row, _ = bench.fold(engine, [record], row)
    soundness.check(engine.layout, engine.spec, row)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("drift", DRIFTS)
@pytest.mark.parametrize("cell", ["cfc", "ltc"])
def test_whatever_is_taken_gives_finite_answers(engine_of: Any, bench: Any, task: str, cell: str, drift: Any) -> None:
    """States with several arrays replaced by anything that passes: each step answers with finite numbers, and leaves a
    row that could be written and read again."""
    engine = engine_of(task, cell, drift)
    rng = np.random.default_rng(0)
    row = learned(bench, engine, 2)
    more = bench.records(engine.spec, 3, 8)
    shift = int(engine.layout.views(row[None])["stream.seq"][0])
    taken: list[ByteArray] = []
    while len(taken) < 60:
        spoilt = row.copy()
        for _ in range(rng.integers(1, 6)):
            spoil(engine, spoilt, rng)
        try:
            soundness.check(engine.layout, engine.spec, spoilt)
        except StateFormatError:
            continue
        taken.append(spoilt)
    slab = Slab(engine.layout)
    slots = [slab.load(each) for each in taken]
    for record in more:
        moved = msgspec.structs.replace(record, seq=record.seq + shift)
        results = engine.step(slab, slots, [moved] * len(slots))
        assert np.isfinite(results.prediction).all()
        assert np.isfinite(results.median).all()
        assert np.isfinite(results.half_width).all()
    for name, view in engine.layout.views(slab.rows[slots]).items():
        assert view.dtype.kind != "f" or np.isfinite(view).all(), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stream.samples", -1),
        ("stream.samples", 10**6),
        ("season.period", 10**6),
        ("history.variance", -1.0),
        ("history.newest", 10**9),
        ("network.weights", 1e9),
        ("mix.share", 1.5),
        ("window.seq", 5),
        ("answers.seq", 10**6),
        ("clock.gap", -1.0),
    ],
)
def test_what_no_step_makes_is_refused(engine_of: Any, bench: Any, name: str, value: float) -> None:
    """With the name of the array."""
    engine = engine_of("forecast")
    row = learned(bench, engine, 4)
    engine.layout.views(row[None])[name][...] = value
    with pytest.raises(StateFormatError, match=f"`{name}`"):
        soundness.check(engine.layout, engine.spec, row)


def test_what_an_upset_has_kept_is_what_its_arrays_can_have_been(engine_of: Any, bench: Any) -> None:
    """While it lasts: it may soon be taken up again."""
    engine = engine_of("forecast")
    row = learned(bench, engine, 4)
    arrays = engine.layout.views(row[None])
    arrays["upset.kept"][...] = -1.0
    soundness.check(engine.layout, engine.spec, row)
    arrays["upset.age"][...] = 1
    with pytest.raises(StateFormatError, match=r"`upset\.kept`.*`scaler\.variance`"):
        soundness.check(engine.layout, engine.spec, row)


@pytest.mark.parametrize(("name", "value"), [("drift.buckets", 99), ("drift.width", 7)])
def test_adwins_buckets_hold_its_window(engine_of: Any, bench: Any, name: str, value: int) -> None:
    """They are counted in what is read by index."""
    engine = engine_of("forecast", "cfc", DRIFTS[1])
    row = learned(bench, engine, 5)
    engine.layout.views(row[None])[name][...] = value
    with pytest.raises(StateFormatError, match=f"`{name}`"):
        soundness.check(engine.layout, engine.spec, row)


def test_every_array_has_a_range(engine_of: Any) -> None:
    """The table names nothing that is not there, so that a part that is renamed does not lose its range."""
    names = {field.name for drift in DRIFTS for task in TASKS for field in engine_of(task, "cfc", drift).layout.fields}

    assert set(soundness._RANGES) <= names
