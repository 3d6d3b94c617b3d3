"""Small series, seeded, of each task."""

from __future__ import annotations

import numpy as np
import pytest

from service.evaluation import Series

ROWS = 260


def forecast_series(rows: int = ROWS) -> Series:
    """Two features by the hour with a daily season, holes and a repeated time."""
    rng = np.random.default_rng(3)
    t = 1.7e9 + 3600.0 * np.arange(rows)
    t[40] = t[39]
    wave = np.sin(2 * np.pi * np.arange(rows) / 24)[:, None] * np.array([3.0, -1.0])
    x = 10.0 + wave + 0.3 * rng.standard_normal((rows, 2))
    x[rng.random(x.shape) < 0.05] = np.nan
    return Series("waves", t, x, None, ("a", "b"), ("a", "b"))


def regression_series(rows: int = ROWS, delay: int = 0) -> Series:
    """A label that follows from two features, missing at times; each comes `delay` rows late."""
    rng = np.random.default_rng(4)
    x = np.cumsum(rng.standard_normal((rows, 2)), axis=0)
    y = x @ np.array([[1.0], [-0.5]]) + 0.1 * rng.standard_normal((rows, 1))
    y[rng.random(rows) < 0.1] = np.nan
    after = np.arange(rows) + 1 + delay if delay else None
    return Series("meter", np.arange(rows) * 60.0, x, y, ("a", "b"), ("load",), label_after=after)


def class_series(rows: int = ROWS) -> Series:
    """Three classes that follow from a feature."""
    rng = np.random.default_rng(5)
    x = np.cumsum(0.4 * rng.standard_normal((rows, 2)), axis=0)
    y = np.digitize(x[:, :1], [-0.5, 0.5]).astype(float)
    y[::17] = np.nan
    return Series("state", np.arange(rows) * 600.0, x, y, ("a", "b"), ("kind",), classes=("low", "mid", "high"))


@pytest.fixture(params=["forecast", "regression", "late labels", "classification"])
def any_series(request) -> Series:
    """One of each task."""
    return {
        "forecast": forecast_series,
        "regression": regression_series,
        "late labels": lambda: regression_series(delay=5),
        "classification": class_series,
    }[request.param]()


@pytest.fixture
def hourly() -> Series:
    return forecast_series()


@pytest.fixture
def late_labels() -> Series:
    return regression_series(delay=5)
