"""The baselines find what they are made for, and say persistence before they know better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.evaluation import Series, baselines, score


def test_persistence_is_the_last_value_known(hourly):
    """Three rows ahead of each row, holes passed over."""
    said = baselines.persistence(hourly, 3).prediction
    for row in range(10, 40):
        for target in range(2):
            known = [value for value in hourly.x[: row - 2, target] if not np.isnan(value)]
            assert said[row, target] == known[-1]


def test_the_season_of_a_day_is_taken_from_the_calendar(hourly):
    """By the hour, yesterday's value is 24 rows back, also after a repeated time; without one it is persistence."""
    track = baselines.seasonal_naive(hourly, 6)
    said, naive = track.prediction, baselines.persistence(hourly, 6).prediction
    for row in range(90, 160):
        expected = np.where(np.isnan(hourly.x[row - 24]), naive[row], hourly.x[row - 24])
        np.testing.assert_array_equal(said[row], expected)
    np.testing.assert_array_equal(said[:50], naive[:50])


def test_without_a_calendar_the_season_is_found_by_correlation():
    """A wave of 37 rows, in a series whose rows are its clock."""
    rows = np.arange(1500)
    wave = np.sin(2 * np.pi * rows / 37)
    series = Series("wave", rows * 1.0, wave[:, None], None, ("a",), ("a",))
    said = baselines.seasonal_naive(series, 5).prediction[:, 0]
    np.testing.assert_allclose(said[1100:], wave[1100 - 37 : 1500 - 37])


def test_a_walk_has_no_season():
    """Noise without a period gets no seasonal forecast."""
    noise = np.random.default_rng(0).standard_normal((1500, 1))
    assert baselines.seasonal_naive(Series("noise", np.arange(1500.0), noise, None, ("a",), ("a",)), 1) is None


def test_the_autoregression_finds_an_oscillation():
    """Two lags determine a noiseless oscillation, whatever its offset and scale."""
    wave = 1e4 + 250.0 * np.sin(0.7 * np.arange(800.0))
    series = Series("wave", np.arange(800.0), wave[:, None], None, ("a",), ("a",))
    late = (400, 800)
    naive = score(series, baselines.persistence(series, 4), rows=late)["mae"]
    assert score(series, baselines.online_ar(series, 4), rows=late)["mae"] < 0.1 * naive


def test_the_linear_model_finds_what_labels_follow_from():
    """A label that is a sum of features, in the features' unit or in any other."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((600, 3))
    y = x @ np.array([[2.0], [-1.0], [0.5]]) + 7.0
    series = Series("sum", np.arange(600.0), x, y, ("a", "b", "c"), ("y",))
    late = (300, 600)
    for factor in (1.0, 1e6):
        scaled = replace(series, y=y * factor)
        naive = score(scaled, baselines.persistence(scaled), rows=late)["mae"]
        assert score(scaled, baselines.online_linear(scaled), rows=late)["mae"] < 0.05 * naive


def test_a_series_that_stands_still_is_predicted_and_then_followed():
    """A first stretch without any change neither breaks nor blinds the linear models."""
    values = np.concatenate([np.full(200, 5.0), 5.0 + np.sin(0.5 * np.arange(600.0))])
    series = Series("still", np.arange(800.0), values[:, None], None, ("a",), ("a",))
    said = baselines.online_ar(series, 1).prediction[:, 0]
    np.testing.assert_allclose(said[1:200], 5.0)
    assert np.abs(said[700:] - values[700:]).mean() < 0.05


def test_no_change_of_classes_is_always_the_likeliest(any_series):
    """As probabilities, persistence still names the class that was known last."""
    if not any_series.classes:
        return
    said = baselines.persistence(any_series).prediction
    truth = any_series.truth[:, 0]
    np.testing.assert_allclose(said.sum(axis=1), 1.0)
    for row in range(5, 100):
        known = [value for value in truth[:row] if not np.isnan(value)]
        assert said[row].argmax() == known[-1]
