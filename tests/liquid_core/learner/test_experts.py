"""The experts: what each of them is shown, and where it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from liquid_core import ModelSpec
from liquid_core.learner.calendar import WAVES
from liquid_core.learner.experts import (
    AUTOREGRESSION_WIDTH,
    LINEAR_PAST,
    PAST,
    WIDE,
    autoregression_features,
    credence,
    linear_features,
    linear_view,
    num_linear_features,
)
from liquid_core.learner.history import CHANGES, VIEW
from liquid_core.types import FloatArray

INPUTS, BATCH = 9, 2
SPECS: dict[str, dict[str, Any]] = {
    "forecast": {"task": "forecast", "horizon": (1, 3)},
    "regression": {"task": "regression", "targets": ("u", "v", "w")},
    "classification": {"task": "classification", "classes": ("red", "green", "blue", "none")},
}


def drawn(*shape: int) -> FloatArray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32).astype(np.float64)


def test_the_autoregression_sees_its_own_target_only() -> None:
    """A constant, the history, the calendar and the season, of each output for itself."""
    history, past, waves = drawn(BATCH, 5, VIEW), drawn(BATCH, 5, PAST), drawn(BATCH, 5, WAVES)
    seen = autoregression_features(history, past, waves)

    assert seen.shape == (BATCH, 5, AUTOREGRESSION_WIDTH)
    assert (seen[:, :, 0] == 1.0).all()
    np.testing.assert_array_equal(seen[:, :, 1:], np.concatenate([history, waves, past], axis=2))


@pytest.mark.parametrize("task", list(SPECS))
def test_the_linear_expert_sees_all_of_all(task: str) -> None:
    """The inputs, the history and the season of every target, and a constant, as each horizon looks back."""
    spec = ModelSpec(features=("a", "b"), **SPECS[task])
    horizons, tracks = max(1, len(spec.horizons)), spec.num_tracks
    inputs = drawn(BATCH, horizons, INPUTS)
    history, past = drawn(BATCH, horizons, tracks, VIEW), drawn(BATCH, horizons, tracks, PAST)
    seen = linear_features(spec, inputs, history, past)

    assert seen.shape == (BATCH, horizons, num_linear_features(spec, INPUTS))
    np.testing.assert_array_equal(seen[..., :INPUTS], inputs)
    assert (seen[..., -1] == 1.0).all()
    of_tracks = seen[..., INPUTS:-1].reshape(BATCH, horizons, tracks, -1)
    columns = linear_view(spec)
    np.testing.assert_array_equal(of_tracks[..., : len(columns)], history[..., columns])
    np.testing.assert_array_equal(of_tracks[..., len(columns) :], past[..., LINEAR_PAST])


def test_a_forecast_is_not_shown_twice_what_its_inputs_show() -> None:
    """Its level and last movement stand among the inputs, and the last value is never old; of labels nothing is there
    yet."""
    views = {task: linear_view(ModelSpec(features=("a", "b"), **fields)) for task, fields in SPECS.items()}

    assert views["forecast"] == tuple(range(2, 1 + CHANGES))
    assert views["regression"] == views["classification"] == tuple(range(VIEW))


def test_features_are_float64() -> None:
    """Whatever the window keeps: least squares need it."""
    spec = ModelSpec(task="forecast", features=("a",))
    inputs, history, past = (
        drawn(*shape).astype(np.float32) for shape in ((1, 1, INPUTS), (1, 1, 1, VIEW), (1, 1, 1, PAST))
    )

    assert linear_features(spec, inputs, history, past).dtype == np.float64
    assert autoregression_features(history[0], past[0], drawn(1, 1, WAVES)).dtype == np.float64


def test_what_was_wide_off_counts_for_less() -> None:
    """A horizon's errors together, of targets that came: what they pull by grows with their size, not its square."""
    errors = np.array([[0.5, -0.5, 3.0, 4.0], [0.0, 9.0, 30.0, -40.0]])
    known = np.array([[True, True, True, True], [True, False, True, True]])
    found = credence(errors, known, 2)

    np.testing.assert_allclose(found, [[1.0, WIDE / np.sqrt(12.5)], [1.0, WIDE / np.sqrt(1250.0)]])
    assert credence(errors, np.zeros_like(known), 2).tolist() == [[1.0, 1.0]] * 2
