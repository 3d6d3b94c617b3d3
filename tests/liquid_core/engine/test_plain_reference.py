"""The engine against the fold written out again: one stream, plain loops, float64, from the design's order of steps.

Nothing of the learner or the engine is used there (`plain`) but the cell and the constants: every formula stands a
second time, as plainly as it can be said, with averages over lists where the engine keeps running ones, and whole
matrices where it keeps triangles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from liquid_core import ModelSpec
from liquid_core.engine import Engine, Label, Record, Sample, Slab
from liquid_core.spec import AutoNCPSpec, CfCSpec, LearnerSpec, LTCSpec, PageHinkleySpec, WiredCfCSpec

from .plain.stream import PlainStream
from .plain.tasks import NOTHING, PlainClassification, PlainForecast, PlainRegression

NAN = float("nan")
LEARNER = LearnerSpec(
    window=4,
    warmup=3,
    learning_rate=0.01,
    clip_norm=0.05,
    coverage=0.8,
    season_window=16,
    label_horizon=6,
    drift=PageHinkleySpec(min_samples=6, threshold=1.0, delta=0.05, mode="both"),
)
NCP = AutoNCPSpec(units=7, outputs=2)
CELLS: dict[str, dict[str, Any]] = {
    "cfc": {"cell": CfCSpec(units=5, backbone_units=6)},
    "cfc-mixed-pure": {"cell": CfCSpec(units=4, backbone_units=5, mode="pure", mixed_memory=True)},
    "wired_cfc": {"cell": WiredCfCSpec(), "wiring": NCP},
    "ltc": {"cell": LTCSpec(ode_unfolds=3), "wiring": NCP},
}
CLASSES = ("red", "green", "blue")


def series(num_samples: int) -> list[Sample]:
    """Two features every two hours or so, values missing (also the first ones of a feature), a jump, an outlier."""
    rng = np.random.default_rng(3)
    samples, t = [], 100.0
    for n in range(1, num_samples + 1):
        t += 3600.0 * float(rng.choice([2.0, 2.0, 2.0, 0.7, 9.0, 50.0]))
        level = 20.0 if n > num_samples // 2 else 5.0
        x = [level + math.sin(n / 2) + 0.1 * rng.normal(), 1e-3 * math.cos(n / 3)]
        if n <= 4:
            x[1] = NAN
        if rng.random() < 0.15:
            x[int(rng.integers(2))] = NAN
        if n == num_samples - 6:
            x[0] = 1e6
        samples.append(Sample(seq=n, t=t, x=tuple(x)))
    return samples


def values(n: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Two targets with a period of eight samples, which change their level half way; one of them has an outlier."""
    wave = math.sin(2 * math.pi * n / 8) + 0.05 * rng.normal()
    return (1e5 if n == 60 else 3.0 + wave + (5.0 if n > 40 else 0.0), -0.01 * wave)


def classes(n: int, rng: np.random.Generator) -> tuple[float, ...]:
    """By turns, with exceptions; in another order later on."""
    return (float(rng.integers(3) if rng.random() < 0.2 else n % 3 if n < 50 else -n % 3),)


def labelled(num_samples: int, label: Any) -> list[Record]:
    """The series with labels at once, some samples later, later and out of order, or never."""
    rng = np.random.default_rng(5)
    records: list[Record] = []
    waiting: list[Label] = []
    for n, sample in enumerate(series(num_samples), start=1):
        y, kind = label(n, rng), rng.choice(["at once", "late", "never"], p=[0.5, 0.4, 0.1])
        records.append(Sample(seq=n, t=sample.t, x=sample.x, y=y if kind == "at once" else None))
        waiting += [Label(seq=n, y=y)] if kind == "late" else []
        if n % 4 == 0:
            records += waiting if n % 8 else waiting[::-1]
            waiting = []
    return records


def run_side_by_side(engine: Engine, plain: PlainStream, records: Sequence[Record]) -> tuple[dict[str, Any], int]:
    """The engine's arrays after records that both of them got, and the number of alarms; every answer is the same."""
    slab = Slab(engine.layout)
    slot = slab.load(engine.initial_row())
    alarms = 0
    for record in records:
        found = engine.step(slab, [slot], [record])
        if isinstance(record, Label):
            assert isinstance(plain, PlainRegression | PlainClassification)
            expected = plain.label(record.seq, list(record.y))
        elif isinstance(plain, PlainForecast):
            expected = plain.step(record.t, list(record.x))
        else:
            assert isinstance(plain, PlainRegression | PlainClassification)
            expected = plain.step(record.t, list(record.x), list(record.y) if record.y else None)
        for name in ("prediction", "median", "half_width"):
            wanted = [answer[name] for answer in expected.get("answers", []) if name in answer]
            if wanted:
                np.testing.assert_allclose(getattr(found, name)[0], wanted, rtol=1e-9, err_msg=f"{name} {record.seq}")
        for name in NOTHING:
            np.testing.assert_allclose(getattr(found, name)[0], expected[name], rtol=1e-9, err_msg=f"{name} {record}")
        alarms += int(found.drift[0])
    return {name: view[0] for name, view in engine.layout.views(slab.read(slot)[None]).items()}, alarms


def check_state(engine: Any, arrays: dict[str, Any], plain: PlainStream) -> None:
    """What was learned, and what is remembered, is the same in the end."""
    weights = engine.network.packing.pack({name: p.detach() for name, p in plain.cell.named_parameters()})
    np.testing.assert_allclose(arrays["network.weights"], weights, rtol=1e-9, atol=1e-11)
    maps = {"readout": plain.readouts, "linear": plain.linear, "autoregression": plain.autoregression}
    for name, parts in maps.items():
        expected_weights = np.concatenate([part.weights for part in parts])
        np.testing.assert_allclose(arrays[f"{name}.weights"], expected_weights, rtol=1e-7, atol=1e-9, err_msg=name)
        triangles = [part.covariance[np.triu_indices(len(part.covariance))] for part in parts]
        np.testing.assert_allclose(arrays[f"{name}.covariance"], triangles, rtol=1e-7, atol=1e-9, err_msg=name)
    for output, (*answer, trust, long, short, median_trust) in enumerate(plain.shares):
        losses = len(arrays["mix.trust"])  # of classes there is no median
        rows, trusts = [*answer, long, short][: 2 * losses], [trust[0], median_trust[0]][:losses]
        np.testing.assert_allclose(arrays["mix.share"][:, :, output], rows, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(arrays["mix.trust"][:, output], trusts, rtol=1e-7, atol=1e-9)
    assert arrays["season.period"] == plain.season.period
    last = len(plain.hidden) - 1
    np.testing.assert_allclose(arrays["window.hidden"][last % len(arrays["window.hidden"])], plain.hidden[last][0])
    assert arrays["stream.updates"] == plain.updates
    np.testing.assert_allclose(arrays["metrics.recent"], [np.mean(pairs, axis=0)[0] for pairs in plain.errors])
    np.testing.assert_allclose(arrays["metrics.total_naive"], [np.sum(pairs, axis=0)[1] for pairs in plain.errors])


@pytest.mark.parametrize("cell", list(CELLS))
def test_a_forecast_is_the_fold_written_out(make_engine: Any, cell: str) -> None:
    """Step by step the same answers, intervals, scores and alarms, and in the end the same weights."""
    spec = ModelSpec(task="forecast", features=("a", "b"), horizon=(1, 3), learner=LEARNER, **CELLS[cell])
    engine, plain = make_engine(spec, np.float64), PlainForecast(spec)
    arrays, alarms = run_side_by_side(engine, plain, series(60))

    check_state(engine, arrays, plain)
    # The series reaches what there is to reach.
    assert plain.updates > 40
    assert plain.season.lag(plain.times, plain.gap) > 0
    assert plain.waves(plain.times[-1])[-1] != 0
    assert plain.season.mended > 0
    assert alarms == arrays["stream.drifts"] > 0


@pytest.mark.parametrize("cell", list(CELLS))
def test_a_regression_is_the_fold_written_out(make_engine: Any, cell: str) -> None:
    """With labels that come at once, late, out of order or never."""
    spec = ModelSpec(task="regression", features=("a", "b"), targets=("u", "v"), learner=LEARNER, **CELLS[cell])
    engine, plain = make_engine(spec, np.float64), PlainRegression(spec)
    arrays, alarms = run_side_by_side(engine, plain, labelled(80, values))

    check_state(engine, arrays, plain)
    np.testing.assert_allclose(arrays["guess.mean_error"], [guess.mean_error for guess in plain.guesses])
    np.testing.assert_allclose(arrays["guess.last_error"], [guess.last_error for guess in plain.guesses])
    assert plain.updates > 50
    assert plain.season.period == 8
    assert plain.season.mended > 0
    assert alarms == arrays["stream.drifts"] > 0


@pytest.mark.parametrize("cell", list(CELLS))
def test_a_classification_is_the_fold_written_out(make_engine: Any, cell: str) -> None:
    """The same for probabilities."""
    spec = ModelSpec(task="classification", features=("a", "b"), classes=CLASSES, learner=LEARNER, **CELLS[cell])
    engine, plain = make_engine(spec, np.float64), PlainClassification(spec)
    arrays, alarms = run_side_by_side(engine, plain, labelled(80, classes))

    check_state(engine, arrays, plain)
    assert plain.updates > 50
    assert plain.season.period == 3
    assert alarms == arrays["stream.drifts"] > 0
