"""One stream alone and a group of them are two kernels, and a stream gets the same bits from either."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_core import ModelSpec
from liquid_core.engine import NativeEngine, Slab, native_status
from liquid_core.engine.native.status import ISA_VARIABLE, load_kernels
from liquid_core.spec import AutoNCPSpec, LearnerSpec, LTCSpec

from .conftest import fold, history
from .specs import learners, ltc, tasks, wirings
from .test_gradient import assert_equal, autograd_lesson

ISAS = load_kernels().supported() if native_status().available else []


@pytest.mark.parametrize("isa", ISAS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_group_gives_each_stream_its_own_bits(monkeypatch: pytest.MonkeyPatch, isa: str, data: Any) -> None:
    """Streams of any age with any number of records, in one call of many threads and each for itself."""
    monkeypatch.setenv(ISA_VARIABLE, isa)
    spec = ModelSpec(
        cell=data.draw(ltc),
        wiring=data.draw(wirings()),
        learner=data.draw(learners),
        late="clamp",
        **data.draw(tasks()),
    )
    real = data.draw(st.sampled_from([np.float32, np.float64]))
    together = NativeEngine(spec, real, threads=data.draw(st.sampled_from([1, 3])))
    alone = NativeEngine(spec, real)
    assert together.group_size > 1
    histories = [history(spec, seed, data.draw(st.integers(1, 9))) for seed in range(data.draw(st.integers(2, 20)))]
    ages = [data.draw(st.integers(0, len(records) - 1)) for records in histories]
    slab = Slab(together.layout)
    rows = [fold(alone, alone.initial_row(), records[:age]) for records, age in zip(histories, ages, strict=True)]
    slots = [slab.load(row) for row in rows]
    batch = [
        (slot, record) for slot, records, age in zip(slots, histories, ages, strict=True) for record in records[age:]
    ]
    together.step(slab, [slot for slot, _ in batch], [record for _, record in batch])

    for slot, row, records, age in zip(slots, rows, histories, ages, strict=True):
        np.testing.assert_array_equal(slab.read(slot), fold(alone, row, records[age:]))


def test_gates_that_are_not_kept_are_opened_again() -> None:
    """A window that is too long for its gates to be kept gives the gradient that autograd gives, in either kernel."""
    spec = ModelSpec(
        task="forecast",
        features=("a",),
        learner=LearnerSpec(window=200),
        cell=LTCSpec(ode_unfolds=12),
        wiring=AutoNCPSpec(units=64, outputs=2),
    )
    engine = NativeEngine(spec, np.float64)
    row = fold(engine, engine.initial_row(), history(spec, 0, 30))
    targets, known = np.array([0.7]), np.array([True])
    expected = autograd_lesson(engine, row, 31, targets, known)

    for grouped in (False, True):
        assert_equal(engine.lesson(row, 31, targets, known, grouped=grouped), expected, known, 1e-10)
