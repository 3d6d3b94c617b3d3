"""Whatever comes in, a stream survives: finite answers, states within their bounds, bad updates undone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from liquid_core import LTCCell, ModelSpec
from liquid_core.engine import Engine, Sample, Slab, Update
from liquid_core.learner.guard import MAX_HIDDEN, MAX_WEIGHT
from liquid_core.learner.mix import EXPERTS, shares_in_answer
from liquid_core.spec import AutoNCPSpec, CfCSpec, LearnerSpec, LTCSpec, WiredCfCSpec
from liquid_core.types import FloatArray

STEPS = 40
RNG = np.random.default_rng(0)
ALTERNATING = np.where(np.arange(STEPS) % 2, 1.0, -1.0)
#: One value a sample for each of eight streams, which step side by side.
SERIES: dict[str, FloatArray] = {
    "huge": np.full(STEPS, 1e30),
    "alternating extremes": ALTERNATING * 1e30,
    "tiny and huge": 10.0 ** (30 * ALTERNATING),
    "constant": np.full(STEPS, 7.0),
    "nothing": np.full(STEPS, np.nan),
    "now and then": np.where(RNG.random(STEPS) < 0.8, np.nan, RNG.normal(size=STEPS) * 1e9),
    "growing": 10.0 ** np.linspace(-30, 30, STEPS),
    "denormal": ALTERNATING * 5e-324,
}
#: Times with standstills, outages and steps near the resolution of float64.
TIMES = np.cumsum(RNG.choice([0.0, 1e-7, 1.0, 1e9], STEPS)) - 1e14
#: The largest steps that a spec allows.
LEARNER = LearnerSpec(window=3, warmup=0, learning_rate=1.0, readout_rate=1.0, clip_norm=1e6, scaler_rate=0.5)
NCP = AutoNCPSpec(units=7, outputs=2)
CELLS: dict[str, dict[str, Any]] = {
    "cfc": {"cell": CfCSpec(units=4, backbone_units=5)},
    "cfc-pure-silu": {"cell": CfCSpec(units=4, backbone_units=5, mode="pure", activation="silu")},
    "wired_cfc": {"cell": WiredCfCSpec(mode="no_gate", mixed_memory=True), "wiring": NCP},
    "ltc": {"cell": LTCSpec(ode_unfolds=2), "wiring": NCP},
    "ltc-explicit": {"cell": LTCSpec(ode_unfolds=2, constraints="explicit"), "wiring": NCP},
}
TASKS: dict[str, dict[str, Any]] = {
    "forecast": {"task": "forecast", "horizon": (1, 2)},
    "regression": {"task": "regression", "targets": ("y",)},
    "classification": {"task": "classification", "classes": ("a", "b")},
}


def label_of(spec: ModelSpec, value: float) -> tuple[float, ...] | None:
    if spec.task == "forecast" or np.isnan(value):
        return None
    return (float(value > 0),) if spec.task == "classification" else (value,)


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("cell", list(CELLS))
def test_answers_and_states_stay_finite(make_engine: Any, task: str, cell: str) -> None:
    """Extremes, constants, nothing at all, standing and leaping clocks, at the largest rates: all is finite."""
    spec = ModelSpec(features=("a",), late="clamp", learner=LEARNER, **TASKS[task], **CELLS[cell])
    engine = make_engine(spec)
    slab = Slab(engine.layout)
    slots = [slab.load(engine.initial_row()) for _ in SERIES]
    for n in range(STEPS):
        records = [
            Sample(seq=n + 1, t=float(TIMES[n]), x=(float(series[n]),), y=label_of(spec, float(series[n])))
            for series in SERIES.values()
        ]
        results = engine.step(slab, slots, records)
        assert np.isfinite(results.prediction).all()
        assert np.isfinite(results.median).all()
        assert np.isfinite(results.half_width).all()
        assert ((results.anomaly >= 0) & (results.anomaly <= 1) | (results.anomaly == -1)).all()

    arrays = engine.layout.views(slab.rows[slots])
    for name, array in arrays.items():
        assert array.dtype.kind != "f" or np.isfinite(array).all(), name
    assert (np.abs(arrays["network.weights"]) <= MAX_WEIGHT).all()
    assert (np.abs(arrays["window.hidden"]) <= MAX_HIDDEN).all()
    assert (arrays["stream.records"] == STEPS).all()


@pytest.mark.parametrize("constraints", ["implicit", "explicit"])
def test_ltc_states_stay_within_their_bounds(make_engine: Any, constraints: str) -> None:
    """Each hidden state lies in the interval that the weights of its moment prove, or between it and the one before."""
    spec = ModelSpec(
        task="forecast",
        features=("a",),
        late="clamp",
        learner=LEARNER,
        cell=LTCSpec(ode_unfolds=2, constraints=constraints),  # type: ignore[arg-type]
        wiring=NCP,
    )
    engine = make_engine(spec)
    cell = engine.network.cell
    assert isinstance(cell, LTCCell)
    slab = Slab(engine.layout)
    slots = [slab.load(engine.initial_row()) for _ in SERIES]
    before = torch.zeros(len(slots), cell.state_size)
    for n in range(STEPS):
        samples = [Sample(seq=n + 1, t=float(TIMES[n]), x=(float(series[n]),)) for series in SERIES.values()]
        engine.step(slab, slots, samples)
        arrays = engine.layout.views(slab.rows[slots])
        low, high = cell.state_bounds(engine.network.parameters(torch.from_numpy(arrays["network.weights"].copy())))
        hidden = torch.from_numpy(arrays["window.hidden"][:, (n + 1) % arrays["window.hidden"].shape[1]].copy())
        slack = 1e-5 * (1 + torch.maximum(low.abs(), high.abs()))
        assert (hidden >= torch.minimum(low, before) - slack).all()
        assert (hidden <= torch.maximum(high, before) + slack).all()
        before = hidden

    assert not arrays["stream.hidden_resets"].any()


@pytest.fixture(params=["cfc", "ltc"])
def engine(make_engine: Any, request: pytest.FixtureRequest) -> Engine:
    made: Engine = make_engine(ModelSpec(task="forecast", features=("a",), learner=LEARNER, **CELLS[request.param]))
    return made


def learned(engine: Engine) -> tuple[Slab, int]:
    """A slab with one stream that has seen a few samples, and its slot."""
    slab = Slab(engine.layout)
    slot = slab.load(engine.initial_row())
    for n in range(1, 7):
        engine.step(slab, [slot], [Sample(seq=n, t=float(n), x=(float(np.sin(n)),))])
    return slab, slot


def read(engine: Engine, slab: Slab, slot: int) -> dict[str, Any]:
    return {name: view[0] for name, view in engine.layout.views(slab.read(slot)[None]).items()}


def test_an_update_that_runs_away_is_undone(engine: Engine) -> None:
    """Weights, moments and readout are those from before; it is counted and told."""
    slab, slot = learned(engine)
    views = engine.layout.views(slab.rows)
    # The next step of this weight leads far out of every sensible range.
    views["network.weights"][slot, 0] = 999.99
    views["adam.first"][slot, 0], views["adam.second"][slot, 0] = -1.0, 1e-6
    before = read(engine, slab, slot)
    result = engine.step(slab, [slot], [Sample(seq=7, t=7.0, x=(0.5,))])
    after = read(engine, slab, slot)

    assert result.update[0] == Update.SKIPPED
    assert (after["stream.updates"], after["stream.skipped"]) == (before["stream.updates"], 1)
    for name in ("network.weights", "readout.weights", "adam.first", "adam.second", "adam.decay1", "adam.decay2"):
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    assert np.isfinite(result.prediction).all()


@pytest.mark.parametrize("broken", ["network.weights", "readout.weights"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_network_that_is_broken_says_what_the_linear_expert_says(engine: Engine, broken: str, bad: float) -> None:
    """Weights that are no numbers add nothing to the linear expert's word, and teach nothing."""
    slab, slot = learned(engine)
    engine.layout.views(slab.rows)[broken][slot] = bad
    result = engine.step(slab, [slot], [Sample(seq=7, t=7.0, x=(0.5,))])
    after = read(engine, slab, slot)

    newest = 7 % len(after["window.hidden"])
    said, shares = after["window.said"][newest, :, 0], shares_in_answer(after["mix.share"], after["mix.trust"])[:, 0]
    assert said[EXPERTS.index("liquid")] == said[EXPERTS.index("linear")] != 0.0
    assert result.prediction[0, 0] == pytest.approx(0.5 + after["window.scale"][newest, 0] * (shares @ said))
    assert result.update[0] == Update.SKIPPED


def test_a_hidden_state_that_is_no_number_starts_anew(engine: Engine) -> None:
    """From zero, and it is counted."""
    slab, slot = learned(engine)
    engine.layout.views(slab.rows)["network.weights"][slot] = np.nan
    engine.step(slab, [slot], [Sample(seq=7, t=7.0, x=(0.5,))])
    after = read(engine, slab, slot)

    assert after["stream.hidden_resets"] == 1
    assert not after["window.hidden"][7 % len(after["window.hidden"])].any()


OTHER = {"linear": "autoregression", "autoregression": "linear"}


@pytest.mark.parametrize("bad", [np.nan, -np.inf, 1e30, 1.01 * MAX_WEIGHT])
@pytest.mark.parametrize("expert", list(OTHER))
@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("readout", ["rls", "lms"])
def test_an_expert_that_is_broken_begins_again(
    make_engine: Any, task: str, expert: str, readout: Any, bad: float
) -> None:
    """One weight that is no number, or absurd, and its map is as before the first sample once it is taught again. The
    other expert learns on as beside it, and so does a stream beside this one; no answer is ever anything but finite."""
    learner = LearnerSpec(window=2, readout=readout)
    engine = make_engine(ModelSpec(features=("a",), learner=learner, **TASKS[task], **CELLS["cfc"]))
    slab = Slab(engine.layout)
    sound, broken = (slab.load(engine.initial_row()) for _ in range(2))
    series = np.sin(np.arange(60.0))
    for n, value in enumerate(series, start=1):
        if n == 20:
            engine.layout.views(slab.rows)[f"{expert}.weights"][broken, 0, 1] = bad
        sample = Sample(seq=n, t=float(n), x=(float(value),), y=label_of(engine.spec, float(series[n - 2])))
        results = engine.step(slab, [sound, broken], [sample, sample])
        assert np.isfinite(results.prediction).all()
        assert np.isfinite(results.median).all()
        assert np.isfinite(results.half_width).all()
        if n == 20:
            mended, other = read(engine, slab, broken), read(engine, slab, sound)
    start = {name: view[0] for name, view in engine.layout.views(engine.initial_row()[None]).items()}
    end = read(engine, slab, broken)

    for part in ("weights", "covariance"):
        np.testing.assert_array_equal(mended[f"{expert}.{part}"][:1], start[f"{expert}.{part}"][:1])
        np.testing.assert_array_equal(mended[f"{OTHER[expert]}.{part}"], other[f"{OTHER[expert]}.{part}"])
    assert other[f"{expert}.weights"][0].any()
    assert end[f"{expert}.weights"][0].any()
    for name, array in end.items():
        assert array.dtype.kind != "f" or np.isfinite(array).all(), name


def test_only_what_is_learned_together_begins_again(make_engine: Any) -> None:
    """Of the linear expert, the outputs of one horizon; of the autoregression, one output."""
    engine = make_engine(ModelSpec(task="forecast", features=("a", "b"), horizon=(1, 3), **CELLS["cfc"]))
    slab = Slab(engine.layout)
    sound, broken = (slab.load(engine.initial_row()) for _ in range(2))
    for n in range(1, 21):
        if n == 20:
            views = engine.layout.views(slab.rows)
            views["linear.weights"][broken, 1, 2] = views["autoregression.weights"][broken, 1, 2] = np.nan
        sample = Sample(seq=n, t=float(n), x=(float(np.sin(n)), float(np.cos(n / 2))))
        engine.step(slab, [sound, broken], [sample, sample])
    a, b = read(engine, slab, sound), read(engine, slab, broken)

    zero = {name: [not output.any() for output in b[f"{name}.weights"]] for name in OTHER}
    assert zero == {"linear": [True, True, False, False], "autoregression": [False, True, False, False]}
    np.testing.assert_array_equal(b["linear.covariance"][1], a["linear.covariance"][1])
    np.testing.assert_array_equal(b["linear.weights"][2:], a["linear.weights"][2:])
    np.testing.assert_array_equal(b["autoregression.covariance"][[0, 2, 3]], a["autoregression.covariance"][[0, 2, 3]])
    np.testing.assert_array_equal(b["autoregression.weights"][[0, 2, 3]], a["autoregression.weights"][[0, 2, 3]])


# --- outliers --------------------------------------------------------------------------------------------------------

PERIOD, OUTLIER_AT = 24, 300


@pytest.fixture(scope="module", params=[30.0, 1e6, -1e30])
def disturbed(request: pytest.FixtureRequest, make_engine: Any) -> tuple[FloatArray, FloatArray]:
    """Errors of eight smooth seasonal streams, one of whose values is an outlier, and their periods in samples from
    then on: `(time, streams)`."""
    engine = make_engine(ModelSpec(task="forecast", features=("a",), learner=LearnerSpec(window=4), **CELLS["cfc"]))
    slab = Slab(engine.layout)
    slots = [slab.load(engine.initial_row()) for _ in range(8)]
    noise, answers = np.random.default_rng(0).normal(size=(OUTLIER_AT + 8 * PERIOD, 8)), np.zeros(8)
    errors, periods = [], []
    for n, row in enumerate(noise):
        values = np.sin(2 * np.pi * n / PERIOD) + 0.05 * row
        if n == OUTLIER_AT:
            values[:] = request.param
        errors.append(np.abs(answers - values))
        samples = [Sample(seq=n + 1, t=float(n), x=(float(value),)) for value in values]
        answers = engine.step(slab, slots, samples).prediction[:, 0]
        periods.append(engine.layout.views(slab.rows)["season.period"][slots])
    return np.array(errors), np.array(periods[OUTLIER_AT:])


def test_a_stream_recovers_from_an_outlier(disturbed: tuple[FloatArray, FloatArray]) -> None:
    """One wild reading among ordinary ones: eight samples later errors are less than one and a half times as large as
    they were before, and stay so."""
    errors, _ = disturbed
    normal, after = errors[OUTLIER_AT - 100 : OUTLIER_AT].mean(), errors[OUTLIER_AT + 8 :]

    for begin in range(0, len(after) - 16, 8):
        assert after[begin : begin + 16].mean() < 1.5 * normal, begin


@pytest.mark.parametrize("periods", [1, 2, 3, 7])
def test_an_outlier_does_not_come_again(disturbed: tuple[FloatArray, FloatArray], periods: int) -> None:
    """As the value of a period ago: the sample that is so many periods later is as any other."""
    errors, _ = disturbed
    normal, echo = errors[OUTLIER_AT - 100 : OUTLIER_AT].mean(), errors[OUTLIER_AT + periods * PERIOD]

    assert echo.mean() < 2.0 * normal
    assert echo.max() < 4.0 * normal


def test_an_outlier_leaves_the_period_alone(disturbed: tuple[FloatArray, FloatArray]) -> None:
    """It was found before, and is never another one after."""
    assert (disturbed[1] == PERIOD).all()
