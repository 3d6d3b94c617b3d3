"""The closing sentence says what the numbers say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from liquid_core.spec import ModelSpec
from service.evaluation import Series
from service.evaluation.evaluation import Evaluation, Result, error_of
from service.evaluation.liquid import LiquidRun
from service.evaluation.report import caption, verdict


def evaluation(errors: dict[str, float], squares: dict[str, float] | None = None) -> Evaluation:
    series = Series("s", np.arange(3.0), np.zeros((3, 1)), None, ("a",), ("a",))
    results = []
    for model, mae in errors.items():
        scores = {"count": 3, "mse": (squares or errors)[model], "mae": mae, "coverage": None, "width": None}
        results.append(Result(model, 1, scores, error_of(scores) / errors["persistence"]))
    return Evaluation(
        series=series,
        spec=ModelSpec(task="forecast", features=("a",)),
        liquid=LiquidRun([], np.zeros(3), np.zeros(0, dtype=np.int64), "torch", 1),
        tracks=[],
        results=results,
        normalise_by=None,
        rows=None,
        warmup=0,
    )


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (
            {"liquid": 0.88, "persistence": 1.0, "online_ar": 0.91, "seasonal_naive": 2.0},
            "It works on this data: liquid is 12 % better than persistence and 3 % better than the best of the others "
            "(online_ar) at horizon 1.",
        ),
        (
            {"liquid": 0.9, "persistence": 1.0, "online_ar": 0.8},
            "It works on this data, though a simpler model does better: liquid is 10 % better than persistence and "
            "12 % worse than the best of the others (online_ar) at horizon 1.",
        ),
        (
            {"liquid": 0.9, "persistence": 1.0, "online_ar": 1.0, "river ARF": 0.8},
            "It works on this data, though another model does better: liquid is 10 % better than persistence and "
            "12 % worse than the best of the others (river ARF) at horizon 1.",
        ),
        (
            {"liquid": 1.001, "persistence": 1.0},
            "It does not work on this data: liquid is as good as persistence at horizon 1.",
        ),
    ],
)
def test_the_sentence(errors, said):
    assert verdict(evaluation(errors)) == said


def test_it_is_said_whose_errors_these_are():
    """Of values, where liquid says two numbers; classes have one answer."""
    found = evaluation({"liquid": 0.9, "persistence": 1.0})
    said = caption(found)
    assert said is not None
    assert "median" in said
    assert caption(replace(found, series=replace(found.series, y=np.zeros((3, 1)), classes=("n", "y")))) is None


def test_squares_that_say_otherwise_are_told():
    """Many small errors instead of a few large ones."""
    said = verdict(evaluation({"liquid": 1.1, "persistence": 1.0}, {"liquid": 0.5, "persistence": 1.0}))
    assert said.endswith("at horizon 1 (by squared error it is 50 % better than persistence).")
