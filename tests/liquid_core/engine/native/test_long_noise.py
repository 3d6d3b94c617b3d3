"""A million steps of noise, in which there is nothing to learn: no weight walks away, and no error grows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from liquid_core import ModelSpec
from liquid_core.engine import Sample, Slab, build_engine, native_status
from liquid_core.learner.guard import MAX_HIDDEN
from liquid_core.spec import AutoNCPSpec, CfCSpec, LearnerSpec, LTCSpec

pytestmark = pytest.mark.skipif(not native_status().available, reason="it takes minutes without native kernels")

STEPS = 1_000_000
CHUNK = 50_000
CELLS: dict[str, dict[str, Any]] = {
    "cfc": {"cell": CfCSpec(units=4, backbone_units=4)},
    "ltc": {"cell": LTCSpec(ode_unfolds=2), "wiring": AutoNCPSpec(units=6, outputs=2)},
}


@pytest.mark.parametrize("cell", list(CELLS))
def test_a_million_steps_of_noise_leave_no_trace(cell: str) -> None:
    """The best forecast of white noise is its mean: at the end the error is no larger than at the beginning."""
    spec = ModelSpec(task="forecast", features=("a",), learner=LearnerSpec(window=2), **CELLS[cell])
    engine = build_engine(spec, "native")
    slab = Slab(engine.layout)
    slot = slab.load(engine.initial_row())
    rng = np.random.default_rng(7)
    errors, expected = [], 0.0
    for start in range(0, STEPS, CHUNK):
        noise = rng.standard_normal(CHUNK)
        noise[rng.random(CHUNK) < 0.01] = np.nan
        records = [Sample(seq=start + n, t=float(start + n), x=(value,)) for n, value in enumerate(noise.tolist(), 1)]
        results = engine.step(slab, [slot] * CHUNK, records)
        assert np.isfinite(results.prediction).all()
        assert np.isfinite(results.median).all()
        assert np.isfinite(results.half_width).all()
        made = np.concatenate([[expected], results.prediction[:-1, 0]])
        expected = float(results.prediction[-1, 0])
        errors.append(float(np.nanmean((noise - made) ** 2)))
    arrays = engine.layout.views(slab.rows[slot : slot + 1])
    assert np.abs(arrays["window.hidden"]).max() <= MAX_HIDDEN
    assert np.abs(arrays["network.weights"]).max() < 10
    assert errors[-1] < 1.02 * np.nanvar(noise)
    assert max(errors[1:]) < 1.07 * min(errors[1:])
