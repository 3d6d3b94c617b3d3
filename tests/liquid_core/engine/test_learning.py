"""It learns what can be learned, and where nothing can, it is as good as the naive guess."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from liquid_core import ModelSpec
from liquid_core.engine import Sample, Slab
from liquid_core.spec import AutoNCPSpec, CfCSpec, LearnerSpec, LTCSpec, WiredCfCSpec
from liquid_core.types import FloatArray

STEPS = 700
NCP = AutoNCPSpec(units=8, outputs=3)
CELLS: dict[str, dict[str, Any]] = {
    "cfc": {"cell": CfCSpec(units=8, backbone_units=12)},
    "wired_cfc": {"cell": WiredCfCSpec(), "wiring": NCP},
    "ltc": {"cell": LTCSpec(ode_unfolds=2), "wiring": NCP},
}


def answers(
    make_engine: Any, spec: ModelSpec, x: FloatArray, y: FloatArray | None = None
) -> tuple[FloatArray, dict[str, Any]]:
    """Predictions `(time, streams, outputs)` for series `(time, streams, features)`, all streams side by side."""
    engine = make_engine(spec)
    slab = Slab(engine.layout)
    slots = [slab.load(engine.initial_row()) for _ in range(x.shape[1])]
    found = []
    for n in range(len(x)):
        records = [
            Sample(seq=n + 1, t=float(n), x=tuple(x[n, s].tolist()), y=None if y is None else tuple(y[n, s].tolist()))
            for s in range(x.shape[1])
        ]
        found.append(engine.step(slab, slots, records).prediction)
    return np.array(found), engine.layout.views(slab.rows[slots])


def sines(seed: int) -> FloatArray:
    """Two features with noise: a pure tone and a beat."""
    rng, n = np.random.default_rng(seed), np.arange(STEPS)
    tones = np.stack([np.sin(n / 3 + seed), np.sin(n / 4) * np.sin(n / 30 + seed)], axis=1)
    return tones + 0.05 * rng.normal(size=(STEPS, 2))


def autoregression(seed: int) -> FloatArray:
    """Two features that swing back: x[n] = -0.8 x[n-1] + noise."""
    noise = np.random.default_rng(seed).normal(size=(STEPS, 2))
    x = np.zeros((STEPS, 2))
    for n in range(1, STEPS):
        x[n] = -0.8 * x[n - 1] + noise[n]
    return x


def walk(seed: int) -> FloatArray:
    return np.cumsum(np.random.default_rng(seed).normal(size=(STEPS, 2)), axis=0)


SERIES = [sines(0), sines(1), autoregression(0), autoregression(1), *(walk(seed) for seed in range(4))]


@pytest.fixture(scope="module", params=list(CELLS))
def ratios(request: pytest.FixtureRequest, make_engine: Any) -> FloatArray:
    """Error over persistence's, `(streams,)`, at the next sample, over the last half of each of `SERIES`."""
    learner = LearnerSpec(window=4, learning_rate=3e-3)
    spec = ModelSpec(task="forecast", features=("a", "b"), learner=learner, **CELLS[request.param])
    x = np.stack(SERIES, axis=1)
    predictions, _ = answers(make_engine, spec, x)
    half = STEPS // 2
    errors = np.abs(predictions[half:-1] - x[half + 1 :]).mean(axis=(0, 2))
    naive = np.abs(x[half:-1] - x[half + 1 :]).mean(axis=(0, 2))
    return np.asarray(errors / naive)


def test_what_can_be_learned_is_learned(ratios: FloatArray) -> None:
    """On tones and on a series that swings back, the error falls well below persistence's."""
    assert (ratios[:2] < 0.75).all(), ratios
    assert (ratios[2:4] < 0.65).all(), ratios


def test_on_a_random_walk_it_is_nearly_as_good_as_persistence(ratios: FloatArray) -> None:
    """There nothing can be learned, and next to nothing is lost, however fast the learning."""
    assert (np.abs(ratios[4:] - 1.0) < 0.03).all(), ratios
    assert ratios[4:].mean() < 1.015


def test_on_random_walks_the_default_model_is_as_good_as_persistence(make_engine: Any) -> None:
    """On average within 1 % from the first sample on, and .5 % after a few hundred; on each of them within 2 %."""
    x = np.stack([walk(seed) for seed in range(8)], axis=1)
    predictions, _ = answers(make_engine, ModelSpec(task="forecast", features=("a", "b")), x)
    errors, naive = (np.abs(said[:-1] - x[1:]).mean(axis=2) for said in (predictions, x))
    settled = slice(STEPS // 2, None)

    ratios = errors[settled].mean(axis=0) / naive[settled].mean(axis=0)
    assert (np.abs(ratios - 1.0) < 0.02).all(), ratios
    assert abs(ratios.mean() - 1.0) < 0.005
    assert errors.mean() < 1.01 * naive.mean()


def test_intervals_cover_what_they_promise(make_engine: Any) -> None:
    """Of the targets of all streams about 90 % lie inside, on learnable and unlearnable series, one and five ahead."""
    learner = LearnerSpec(window=2, coverage=0.9)
    spec = ModelSpec(
        task="forecast", features=("a", "b"), horizon=(1, 5), learner=learner, cell=CfCSpec(units=4, backbone_units=4)
    )
    engine = make_engine(spec)
    slab = Slab(engine.layout)
    slots = [slab.load(engine.initial_row()) for _ in SERIES]
    x = np.stack(SERIES, axis=1)
    inside = []
    given = []
    for n in range(STEPS):
        samples = [Sample(seq=n + 1, t=float(n), x=tuple(x[n, s].tolist())) for s in range(len(SERIES))]
        results = engine.step(slab, slots, samples)
        given.append((results.prediction, results.half_width))
        for horizon, outputs in ((1, slice(0, 2)), (5, slice(2, 4))):
            if n - horizon >= 50:
                prediction, half_width = given[n - horizon]
                inside.append(np.abs(x[n] - prediction[:, outputs]) <= half_width[:, outputs])

    assert np.mean(inside) == pytest.approx(0.9, abs=0.02)


def test_intervals_of_a_far_horizon_start_sound(make_engine: Any) -> None:
    """Before a horizon's first target no interval is missed: the first real ones are of the data's size."""
    spec = ModelSpec(task="forecast", features=("a",), horizon=(40,), cell=CfCSpec(units=2, backbone_units=2))
    x = np.random.default_rng(0).normal(size=(120, 1, 1))
    _, arrays = answers(make_engine, spec, x)

    assert arrays["conformal.radius"][0, 0] < 2.5


def test_a_feature_that_comes_late_has_a_sound_scale(make_engine: Any) -> None:
    """Its first value is not held against the guess of zero that stood for it."""
    spec = ModelSpec(task="forecast", features=("a",), horizon=(1, 3), cell=CfCSpec(units=2, backbone_units=2))
    x = 1000.0 + np.random.default_rng(0).normal(size=(60, 1, 1))
    x[:6] = np.nan
    _, arrays = answers(make_engine, spec, x)

    np.testing.assert_allclose(np.sqrt(arrays["residual.square"][0]), np.sqrt(2), rtol=0.3)
    assert (arrays["metrics.total"][0] < 60 * 5).all()


@pytest.mark.parametrize("cell", ["cfc", "ltc"])
def test_a_regression_beats_the_running_mean(make_engine: Any, cell: str) -> None:
    """A linear target of the features, with noise: the error falls far below the naive one's."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4, 2))
    y = 10.0 + 3.0 * x[:, :, :1] - 2.0 * x[:, :, 1:] + 0.1 * rng.normal(size=(400, 4, 1))
    spec = ModelSpec(
        task="regression", features=("a", "b"), targets=("y",), learner=LearnerSpec(window=2), **CELLS[cell]
    )
    predictions, arrays = answers(make_engine, spec, x, y)
    errors = np.abs(predictions - y)[200:].mean(axis=(0, 2))

    assert (errors < 0.25 * np.abs(y - y.mean()).mean()).all(), errors
    assert (arrays["metrics.recent"] < 0.25 * arrays["metrics.recent_naive"]).all()


@pytest.mark.parametrize("cell", ["cfc", "ltc"])
def test_a_classification_beats_the_last_class(make_engine: Any, cell: str) -> None:
    """Three classes that the features separate, in no order: nearly all are right, where "as before" is a third."""
    rng = np.random.default_rng(0)
    classes = rng.integers(3, size=(400, 4))
    x = np.array([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])[classes] + 0.3 * rng.normal(size=(400, 4, 2))
    spec = ModelSpec(
        task="classification",
        features=("a", "b"),
        classes=("red", "green", "blue"),
        learner=LearnerSpec(window=2),
        **CELLS[cell],
    )
    predictions, arrays = answers(make_engine, spec, x, classes[:, :, None].astype(float))
    wrong = (predictions.argmax(axis=2) != classes)[200:].mean(axis=0)

    assert (wrong < 0.1).all(), wrong
    assert (arrays["metrics.recent"] < 0.3 * arrays["metrics.recent_naive"]).all()
