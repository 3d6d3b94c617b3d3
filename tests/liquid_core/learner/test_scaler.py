"""The scaler: level, change and missing flag of every feature, on scales of its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_core.learner.part import ArraySpec
from liquid_core.learner.scaler import MAX_SCALED, Scaler
from liquid_core.types import FloatArray

NAN = float("nan")


def fresh(width: int, batch: int = 1) -> Scaler:
    def zeros(array: ArraySpec) -> FloatArray:
        return np.zeros((batch, *array.shape), dtype=array.dtype)

    return Scaler(**{name: zeros(array) for name, array in Scaler.arrays(width).items()})  # type: ignore[arg-type]


def run(series: FloatArray, rate: float = 1e-3) -> tuple[FloatArray, FloatArray, Scaler]:
    """Inputs `(time, 3 * features)` and imputed values `(time, features)` of one stream, and its scaler after."""
    scaler, shown, filled = fresh(series.shape[1]), [], []
    for row in series:
        inputs, values, scaler = scaler.take(row[None], rate)
        shown.append(inputs[0])
        filled.append(values[0])
    return np.array(shown), np.array(filled), scaler


def test_levels_and_changes_are_numpys() -> None:
    """Level: distance from the mean so far in deviations so far. Change: in root mean squares of changes so far."""
    series = np.random.default_rng(0).normal(5.0, 2.0, (60, 2))
    inputs, values, _ = run(series)

    for n in range(2, 60):
        past, steps = series[: n + 1], np.diff(series[: n + 1], axis=0)
        level = (series[n] - past.mean(0)) / past.std(0)
        change = steps[-1] / np.sqrt((steps**2).mean(0))
        np.testing.assert_allclose(inputs[n], np.concatenate([level, change, [0, 0]]), rtol=1e-9)
    np.testing.assert_array_equal(values, series)


def test_the_first_sample_shows_nothing() -> None:
    """One value has neither a scale nor a change: all inputs are zero."""
    assert (run(np.array([[3.0, -1e20]]))[0] == 0).all()


def test_a_missing_value_is_the_last_one_with_a_flag() -> None:
    """`null` is filled with the last value, says so, moves nothing, and its own scales stay."""
    series = np.array([[1.0, 1.0], [2.0, 5.0], [NAN, 6.0], [NAN, 7.0], [3.0, 8.0]])
    inputs, values, scaler = run(series)

    assert values[:, 0].tolist() == [1.0, 2.0, 2.0, 2.0, 3.0]
    assert inputs[:, 4].tolist() == [0, 0, 1, 1, 0]
    assert inputs[2:4, 2].tolist() == [0, 0]
    assert scaler.count[0].tolist() == [3, 5]
    assert scaler.mean[0, 0] == pytest.approx(2.0)


def test_a_feature_that_was_never_there_shows_zero() -> None:
    """Before a feature's first value, its level and change are zero and its value is too."""
    inputs, values, _ = run(np.array([[NAN, 1.0], [NAN, 2.0]]))

    assert inputs[:, [0, 2]].tolist() == [[0, 0], [0, 0]]
    assert values[:, 0].tolist() == [0, 0]


@pytest.mark.parametrize("value", [0.0, 7.0, 1e30, -1e-30, 0.1])
def test_a_constant_feature_shows_zero(value: float) -> None:
    """Rounding noise of a constant is not a scale."""
    assert (run(np.full((300, 1), value))[0] == 0).all()


def test_a_level_shift_is_cut_off_and_then_learned() -> None:
    """The jump shows as `MAX_SCALED`; with forgetting the new level is normal again."""
    rng = np.random.default_rng(0)
    series = np.concatenate([rng.normal(0, 1, 500), rng.normal(1000, 1, 1500)])[:, None]
    inputs, _, _ = run(series, rate=0.01)

    assert inputs[500, 0] == MAX_SCALED
    assert inputs[500, 1] == MAX_SCALED
    assert np.abs(inputs[-100:, 0]).mean() < 1.5


@pytest.mark.parametrize("outlier", [1e3, -1e30])
def test_an_outlier_pulls_but_does_not_tear(outlier: float) -> None:
    """One wild reading is cut off, counts as ten deviations, and the next ordinary ones look ordinary."""
    series = np.random.default_rng(0).normal(size=(600, 1))
    wild = series.copy()
    wild[300] = outlier

    assert abs(run(wild)[0][300, 0]) == MAX_SCALED
    np.testing.assert_allclose(run(wild)[0][302:, 0], run(series)[0][302:, 0], atol=0.7)
    assert run(wild)[2].variance[0, 0] < 1.5 * run(series)[2].variance[0, 0]


@settings(deadline=None)
@given(st.lists(st.floats(-1e30, 1e30) | st.just(NAN), min_size=1, max_size=30), st.integers(-40, 40))
def test_the_unit_does_not_matter(series: list[float], power: int) -> None:
    """Values in another unit look the same, wherever they do not vanish."""
    series = [value if abs(value) > 1e-20 else 0.0 for value in series]
    plain = run(np.array(series)[:, None])[0]
    scaled = run(np.array(series)[:, None] * 2.0**power)[0]

    np.testing.assert_array_equal(plain, scaled)


@settings(deadline=None)
@given(st.lists(st.floats(-1e30, 1e30) | st.just(NAN), min_size=1, max_size=40))
def test_inputs_are_finite_and_bounded(series: list[float]) -> None:
    """Whatever comes in, the cell sees numbers within [-MAX_SCALED, MAX_SCALED]."""
    inputs, values, _ = run(np.array(series)[:, None], rate=0.1)

    assert (np.abs(inputs) <= MAX_SCALED).all()
    assert np.isfinite(values).all()
