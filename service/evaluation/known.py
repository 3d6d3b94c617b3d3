"""What was known when: the newest values that a prediction may use, under missing values and labels that come late."""

from __future__ import annotations

import numpy as np

from service.evaluation.series import Floats, Ints, Series


def newest_known(series: Series) -> Ints:
    """`(n, targets)`: newest row whose target was known when row r was predicted; -1 where there was none.

    A forecast's own target counts as known at its row, from which it predicts ahead.
    """
    n, width = series.truth.shape
    newest = np.full((n, width), -1, dtype=np.int64)
    from_row = series.known_from
    for target in range(width):
        there = np.flatnonzero(~np.isnan(series.truth[:, target]) & (from_row < n))
        np.maximum.at(newest[:, target], from_row[there], there)
    known: Ints = np.maximum.accumulate(newest, axis=0)
    return known


def values_at(series: Series, rows: Ints) -> Floats:
    """Targets of `rows` `(n, targets)`, NaN where a row is -1."""
    found = np.take_along_axis(series.truth, np.maximum(rows, 0), axis=0)
    return np.where(rows >= 0, found, np.nan)


def recent_values(series: Series, target: int, newest: Ints, count: int) -> Floats:
    """`(n, count)`: the last targets that were known at each row, newest first.

    Missing targets are passed over. One that is not known yet though a later one is, takes the value before it; before
    the first value the first one is repeated.

    Parameters
    ----------
    newest
        `(n,)`: newest known row of this target.
    """
    n = len(series)
    truth = series.truth[:, target]
    there = np.flatnonzero(~np.isnan(truth))
    if len(there) == 0:
        return np.full((n, count), np.nan)
    place = np.searchsorted(there, newest)  # of the newest known one among those that are there
    from_row, rows = series.known_from, np.arange(n)
    values = np.full((n, count), np.nan)
    older = truth[there[0]] * np.ones(n)
    for lag in range(count - 1, -1, -1):
        at = there[np.maximum(place - lag, 0)]
        known = (place - lag >= 0) & (from_row[at] <= rows)
        older = np.where(known, truth[at], older)
        values[:, lag] = older
    values[newest < 0] = np.nan
    return values


def carried_forward(x: Floats) -> Floats:
    """`(n, features)` with the newest value in the place of missing ones; 0 before the first."""
    rows = np.where(np.isnan(x), 0, np.arange(len(x))[:, None])
    filled = np.take_along_axis(x, np.maximum.accumulate(rows, axis=0), axis=0)
    return np.nan_to_num(filled)


def running_scale(values: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of all rows up to each, both as `values` `(n, columns)`; where nothing varied, 1."""
    start = values[:1]
    moved = values - start  # an offset that is large beside the spread would cost digits
    count = np.arange(1, len(values) + 1)[:, None]
    mean = np.cumsum(moved, axis=0) / count
    variance = np.maximum(np.cumsum(moved**2, axis=0) / count - mean**2, 0.0)
    spread = np.sqrt(variance)
    return mean + start, np.where(spread > 0, spread, 1.0)


__all__ = ["carried_forward", "newest_known", "recent_values", "running_scale", "values_at"]
