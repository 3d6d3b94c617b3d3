"""Scores against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from service.evaluation import Series, Track, score
from service.evaluation.scores import auc, kappa, units


def values(y: list[float]) -> Series:
    column = np.array(y)[:, None]
    return Series("s", np.arange(len(y), dtype=float), np.zeros((len(y), 1)), column, ("a",), ("y",))


def test_errors_are_means_over_what_is_there():
    """Errors 1, -2 and 3; a missing target and a missing prediction do not count."""
    series = values([1.0, 2.0, math.nan, 4.0, 5.0])
    track = Track("m", None, np.array([[2.0], [0.0], [9.0], [7.0], [math.nan]]))
    assert score(series, track) == {"count": 3, "mse": 14 / 3, "mae": 2.0, "coverage": None, "width": None}


def test_absolute_errors_are_the_medians():
    """Mean 1 and median 0 of 0, 0 and 3; of a model that says one number both errors are that one's."""
    series, mean, median = values([0.0, 0.0, 3.0]), np.ones((3, 1)), np.zeros((3, 1))
    both, one = score(series, Track("m", None, mean, median=median)), score(series, Track("m", None, mean))
    assert (both["mse"], both["mae"]) == (2.0, 1.0)
    assert (one["mse"], one["mae"]) == (2.0, 4.0 / 3.0)


def test_intervals_are_counted_ends_included():
    """Two of four targets lie within; the widths are 2, 2, 2 and 6."""
    series = values([1.0, 2.0, 3.0, 4.0])
    prediction = np.zeros((4, 1))
    lower, upper = np.array([[-1.0], [-1.0], [4.0], [-2.0]]), np.array([[1.0], [1.0], [6.0], [4.0]])
    scored = score(series, Track("m", None, prediction, lower, upper))
    assert (scored["coverage"], scored["width"]) == (0.5, 3.0)


def test_units_are_those_of_the_rows_named():
    """Rows 0 to 3 have the deviation 2 in one target and do not vary in the other, which keeps its own units."""
    x = np.array([[0.0, 7.0], [4.0, 7.0], [0.0, 7.0], [4.0, 7.0], [100.0, 9.0]])
    series = Series("s", np.arange(5.0), x, None, ("a", "b"), ("a", "b"))
    track = Track("m", 1, np.array([[math.nan] * 2] * 4 + [[106.0, 10.0]]))
    assert units(series, (0, 4)).mean.tolist() == [2.0, 7.0]
    scored = score(series, track, (0, 4))
    assert (scored["mae"], scored["mse"]) == ((3.0 + 1.0) / 2, (9.0 + 1.0) / 2)


def test_rows_and_warmup_choose_by_the_row_of_the_target():
    """The start counts, the stop does not, and the warm-up moves the start."""
    series = values([0.0] * 10)
    track = Track("m", None, np.arange(10.0)[:, None])
    assert score(series, track, rows=(3, 6))["mae"] == 4.0
    assert score(series, track, rows=(3, 6), warmup=5)["mae"] == 5.0
    assert score(series, track, rows=(9, 9)) == {"count": 0, "mse": None, "mae": None, "coverage": None, "width": None}


def test_normalising_by_nothing_is_refused():
    """Rows without a single value have no units."""
    with pytest.raises(ValueError, match="hold no value of y"):
        units(values([math.nan, 1.0]), (0, 1))


def test_classes_are_scored_by_hand():
    """Four right of five: accuracy 0.8; by chance 0.6 * 0.4 + 0.4 * 0.6 = 0.48 would agree."""
    truth = np.array([0, 0, 1, 1, 1])
    chances = np.array([0.1, 0.6, 0.7, 0.8, 0.9])
    probabilities = np.stack([1 - chances, chances], axis=1)
    series = Series("s", np.arange(5.0), np.zeros((5, 1)), truth[:, None] * 1.0, ("a",), ("k",), classes=("n", "y"))
    scored = score(series, Track("m", None, probabilities))
    said = np.array([0, 1, 1, 1, 1])
    chance = 1 / 5 * 2 / 5 + 4 / 5 * 3 / 5
    assert scored["accuracy"] == 0.8
    assert scored["kappa"] == pytest.approx((0.8 - chance) / (1 - chance))
    assert kappa(said, truth, 2) == scored["kappa"]
    assert scored["auc"] == 1.0
    assert scored["log_loss"] == pytest.approx(-sum(map(math.log, [0.9, 0.4, 0.7, 0.8, 0.9])) / 5)


def test_ties_count_half_in_the_auc():
    """Of four pairs one is a tie, two are right and one is wrong."""
    chances = np.array([0.2, 0.5, 0.5, 0.1])  # negatives 0.2, 0.5; positives 0.5, 0.1
    pairs = [(0.5, 0.2), (0.5, 0.5), (0.1, 0.2), (0.1, 0.5)]
    expected = sum(1.0 if up > down else 0.5 if up == down else 0.0 for up, down in pairs) / 4
    assert auc(np.stack([1 - chances, chances], axis=1), np.array([0, 0, 1, 1])) == expected


def test_one_class_alone_has_no_auc():
    """What cannot be said is none."""
    assert auc(np.full((3, 2), 0.5), np.zeros(3, dtype=np.int64)) is None
