"""A hundred thousand samples from somebody who knows the answers and wants them to run away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from liquid_core import ModelSpec
from liquid_core.engine import NativeEngine, Sample, Slab
from liquid_core.learner.guard import MAX_WEIGHT
from liquid_core.learner.rls import PRIOR
from liquid_core.learner.scaler import MAX_SCALED
from liquid_core.spec import CfCSpec, LearnerSpec

STEPS = 100_000
#: Samples between two looks of the adversary at the answers.
CHUNK = 50
TASKS: dict[str, dict[str, Any]] = {
    "forecast": {"task": "forecast", "horizon": (1, 2)},
    "regression": {"task": "regression", "targets": ("y",)},
    "classification": {"task": "classification", "classes": ("no", "yes")},
}


def hostile(rng: np.random.Generator, size: tuple[int, ...]) -> Any:
    """Either sign, and any order of magnitude."""
    return 10.0 ** rng.uniform(-9, 9, size=size) * rng.choice([-1.0, 1.0], size=size)


@pytest.mark.slow
@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("readout", ["rls", "lms"])
def test_weights_and_answers_stay_within_bounds(task: str, readout: Any) -> None:
    """Features that say nothing for long and then stand at the scaler's limits, two of them the same in one of the
    streams; targets always on the other side of the last answer. What is learned, and how sure of it, stays bounded."""
    learner = LearnerSpec(
        window=1,
        forgetting=0.9,
        autoregression_forgetting=0.9,
        scaler_rate=0.01,
        learning_rate=1.0,
        readout_rate=1.0,
        clip_norm=1e6,
        season_window=16,
        readout=readout,
    )
    cell = CfCSpec(units=2, backbone_layers=0)
    engine = NativeEngine(ModelSpec(features=("a", "b"), learner=learner, cell=cell, **TASKS[task]))
    slab, rng = Slab(engine.layout), np.random.default_rng(0)
    slots = [slab.load(engine.initial_row()) for _ in range(2)]
    last, limits = np.zeros(2), 0
    for first in range(1, STEPS, CHUNK):
        x = np.where(rng.random((CHUNK, 2, 2)) < 0.03, hostile(rng, (CHUNK, 2, 2)), 0.0)
        x[:, 1, 1] = x[:, 1, 0]
        away = np.where(last > 0, -1.0, 1.0) * np.abs(hostile(rng, (CHUNK, 2)))
        labels = {"forecast": None, "regression": away, "classification": np.tile(last < 0.5, (CHUNK, 1))}[task]
        records = [
            Sample(
                seq=first + n,
                t=float(first + n),
                x=tuple(x[n, stream].tolist()),
                y=None if labels is None else (float(labels[n, stream]),),
            )
            for n in range(CHUNK)
            for stream in range(2)
        ]
        results = engine.step(slab, slots * CHUNK, records)
        last = results.prediction[-2:, 0]
        arrays = engine.layout.views(slab.rows[slots])
        limits += int((np.abs(arrays["window.inputs"][..., :4]) == MAX_SCALED).any())

        assert np.isfinite(results.prediction).all()
        assert np.isfinite(results.median).all()
        assert np.isfinite(results.half_width).all()
        for expert in ("linear", "autoregression", "readout"):
            assert (np.abs(arrays[f"{expert}.weights"]) <= MAX_WEIGHT).all()
            assert (np.abs(arrays[f"{expert}.covariance"]) <= PRIOR * (1 + 1e-12)).all()

    assert limits > STEPS / CHUNK / 20
    assert (arrays["stream.samples"] == STEPS).all()
