"""What clients get of a stream's arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest

from service.messages import Prediction
from service.shard import answers

from .conftest import Fold, samples, tiny


def test_a_forecast_has_one_prediction_a_horizon() -> None:
    """Ascending, with one value a target, its median and the interval around it."""
    said = [[1.0, 2.0, 3.0, 4.0], [1.25, 2.0, 3.5, 3.0], [0.5, 1.0, 0.0, 2.0]]
    made = answers.predictions(tiny(), *map(np.array, said))
    assert made == [
        Prediction(horizon=1, y=[1.0, 2.0], median=[1.25, 2.0], lower=[0.5, 1.0], upper=[1.5, 3.0]),
        Prediction(horizon=2, y=[3.0, 4.0], median=[3.5, 3.0], lower=[3.0, 2.0], upper=[3.0, 6.0]),
    ]


def test_a_regression_has_one_prediction() -> None:
    """It has no horizon."""
    (made,) = answers.predictions(tiny("regression"), np.array([1.0]), np.array([1.1]), np.array([0.25]))
    assert made == Prediction(y=[1.0], median=[1.1], lower=[0.75], upper=[1.25])


def test_a_classification_names_the_likeliest_class() -> None:
    """And gives the probability of each by its name. Classes have no median."""
    (made,) = answers.predictions(tiny("classification"), np.array([0.2, 0.7, 0.1]), np.zeros(0), np.zeros(3))
    assert made == Prediction(label="loud", probabilities={"calm": 0.2, "loud": 0.7, "shrill": 0.1})


@pytest.mark.parametrize("task", ["forecast", "regression", "classification"])
def test_many_are_what_each_is(task: str) -> None:
    """To the last bit."""
    spec, random = tiny(task), np.random.default_rng(7)
    said = [random.random((9, size)) for size in (spec.num_outputs, spec.num_medians, spec.num_outputs)]
    each = [answers.predictions(spec, *of_sample) for of_sample in zip(*said, strict=True)]
    assert answers.predictions_of_many(spec, *said) == each


def test_missing_values_are_null_again() -> None:
    """As they came."""
    assert answers.values((1.0, math.nan, 0.0)) == [1.0, None, 0.0]


def test_labels_are_shown_as_they_came() -> None:
    """A class by its name, numbers as a list."""
    assert answers.label(tiny("classification"), (2.0,)) == "shrill"
    assert answers.label(tiny("regression"), (1.5,)) == [1.5]


@pytest.mark.parametrize(("core", "shown"), [(-1.0, None), (0.0, 0.0), (0.75, 0.75)])
def test_no_score_is_null(core: float, shown: float | None) -> None:
    """Zero is a score."""
    assert answers.score(core) == shown


@pytest.mark.parametrize("task", ["forecast", "regression", "classification"])
def test_the_last_answers_are_kept(task: str) -> None:
    """Sixty-four of them, each as it was given."""
    spec = tiny(task)
    fold = Fold(spec).apply(*samples(spec, 67))
    for seq in range(1, 4):
        assert answers.stored_answer(spec, fold.arrays, seq) is None
    for seq in range(4, 68):
        stored = answers.stored_answer(spec, fold.arrays, seq)
        assert stored is not None
        assert stored[0] == fold.answers[seq]


def test_errors_are_told_by_horizon() -> None:
    """None before the first target; then counts and means, beside the naive prediction's."""
    spec = tiny()
    fold = Fold(spec)
    assert [(each.horizon, each.count, each.mean) for each in answers.errors(spec, fold.arrays)] == [
        (1, 0, None),
        (2, 0, None),
    ]
    one, two = answers.errors(spec, fold.apply(*samples(spec, 8)).arrays)
    assert (one.count, two.count) == (7, 6)
    for each in (one, two):
        assert each.mean is not None
        assert each.mean > 0
        assert each.naive_mean is not None
        assert each.naive_mean > 0


def test_drift_is_told_with_its_last_sample() -> None:
    """`null` before the first alarm."""
    arrays = Fold(tiny()).arrays
    assert (answers.drift(arrays).events, answers.drift(arrays).last_seq) == (0, None)
    arrays["stream.drifts"] = np.array(2)
    arrays["stream.last_drift_seq"] = np.array(41)
    assert (answers.drift(arrays).events, answers.drift(arrays).last_seq) == (2, 41)
    for name in ("page_hinkley", "adwin", "window_test"):
        spec = tiny(learner={"drift": name})
        assert (answers.detector(spec, True), answers.detector(spec, False)) == (name, None)
