"""The kernels' gradients against torch's autograd: every cell, wiring, head and option, on every instruction set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from liquid_core import ModelSpec
from liquid_core.engine import NativeEngine, native_status
from liquid_core.engine.native.status import ISA_VARIABLE, load_kernels
from liquid_core.learner.tbptt import Lesson, Unrolled, learn_window
from liquid_core.learner.window import stretches_for
from liquid_core.types import ByteArray, FloatArray

from .conftest import arrays, fold, history
from .specs import specs

ISAS = load_kernels().supported() if native_status().available else []


def autograd_lesson(
    engine: NativeEngine, row: ByteArray, anchor: int, targets: FloatArray, known: NDArray[np.bool_]
) -> Lesson:
    """The same lesson by the reference: the window unrolled by hand from the row's arrays, without a linear expert."""
    spec, stream = engine.spec, arrays(engine, row)
    length, dtype = len(stream["window.seq"]), engine.network.dtype
    stretches = []
    for stretch in stretches_for(spec):
        numbers = anchor + np.arange(stretch.first, stretch.last + 1)
        stretches.append(
            Unrolled(
                hidden=torch.tensor(stream["window.hidden"][(numbers[0] - 1) % length])[None],
                inputs=torch.tensor(stream["window.inputs"][numbers % length])[None],
                elapsed=torch.tensor(stream["window.elapsed"][numbers % length])[None],
                exists=torch.tensor(numbers >= 1)[None],
                anchors=tuple(-horizon - stretch.first for horizon in stretch.horizons),
            )
        )
    return learn_window(
        engine.network,
        torch.tensor(stream["network.weights"])[None],
        torch.tensor(stream["readout.weights"])[None],
        stretches,
        torch.zeros(1, spec.num_outputs, dtype=dtype),
        torch.tensor(targets, dtype=dtype)[None],
        torch.tensor(known)[None],
        engine.network.importance,
        "class" if spec.task == "classification" else "residual",
    )


def assert_equal(found: Lesson, expected: Lesson, known: NDArray[np.bool_], tolerance: float) -> None:
    for name in ("loss", "gradient", "error"):
        a, b = getattr(found, name).numpy(), getattr(expected, name).numpy()
        assert np.abs(a - b).max() <= tolerance * (1 + np.abs(b).max()), name
    # What a readout saw at a sample that does not exist is of no account.
    a, b = found.features.numpy()[0][known], expected.features.numpy()[0][known]
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("real", "tolerance"), [(np.float64, 1e-10), (np.float32, 2e-4)])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spec=specs(), data=st.data())
def test_a_gradient_is_autograds(
    monkeypatch: pytest.MonkeyPatch,
    isa: str,
    real: type[np.floating[Any]],
    tolerance: float,
    spec: ModelSpec,
    data: Any,
) -> None:
    """Loss, gradient, features and errors, by the kernel for one stream and by that for groups."""
    monkeypatch.setenv(ISA_VARIABLE, isa)
    engine = NativeEngine(spec, real)
    assert engine.isa == isa
    num_samples = data.draw(st.integers(1, 12), label="samples")
    row = fold(engine, engine.initial_row(), history(spec, data.draw(st.integers(0, 99), label="seed"), num_samples))
    # A readout that has learned something, so that its errors reach the cell.
    rng = np.random.default_rng(0)
    readout = arrays(engine, row)["readout.weights"]
    readout[...] = rng.normal(size=readout.shape)
    if spec.task == "forecast":
        anchor = num_samples + 1
        targets = 3.0 * rng.normal(size=spec.num_outputs)
        ages = np.repeat(spec.horizons, spec.num_targets)
        known = (rng.random(spec.num_outputs) < 0.8) & (anchor - ages >= 1)
    else:
        anchor = data.draw(st.integers(max(1, num_samples - spec.learner.label_horizon + 1), num_samples))
        targets = 3.0 * rng.normal(size=spec.num_outputs)
        known = np.ones(spec.num_outputs, dtype=np.bool_)
        if spec.task == "classification":
            targets = np.eye(spec.num_outputs)[rng.integers(spec.num_outputs)]
    expected = autograd_lesson(engine, row, anchor, targets, known)

    assert_equal(engine.lesson(row, anchor, targets, known), expected, known, tolerance)
    if engine.group_size > 1:
        assert_equal(engine.lesson(row, anchor, targets, known, grouped=True), expected, known, tolerance)
