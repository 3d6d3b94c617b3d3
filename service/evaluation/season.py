"""The same as a season ago: which period a series has, and what was there then.

The calendar goes first: a day and a week, where the time step divides them; which of the two is asked is decided by
their errors so far. Otherwise the period is the strongest peak of the autocorrelation of the first rows. Nothing is
said before there is enough to choose by.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.evaluation.known import carried_forward
from service.evaluation.series import Floats, Ints, Series

DAY_S = 86_400.0
#: Rows from whose times the step is taken.
STEP_ROWS = 50
#: Rows whose autocorrelation is searched.
CORRELATION_ROWS = 1000
#: Longest period in rows: a week of minutes.
MAX_PERIOD = 10_080
#: Autocorrelation below which a peak is no season.
MIN_CORRELATION = 0.3


def season_ago(series: Series, newest: Ints, horizon: int) -> Floats:
    """`(n, targets)`: predictions made at each row about `horizon` rows later, from one season before those.

    NaN where no season is known, or the value then is missing.

    Parameters
    ----------
    newest
        `(n, targets)`: newest known row of each target.
    """
    step, periods, decided_at = find_periods(series)
    if not periods:
        return np.full(series.truth.shape, np.nan)
    said = [_value_before(series, newest, horizon, step, period) for period in periods]
    for one in said:
        one[:decided_at] = np.nan
    return said[0] if len(said) == 1 else _better_so_far(series, said, horizon)


def find_periods(series: Series) -> tuple[float, Sequence[float], int]:
    """Time step, candidate periods, both in seconds, and the first row that may know them."""
    if len(series) <= STEP_ROWS:
        return 0.0, (), 0
    gaps = np.diff(series.t[:STEP_ROWS])
    gaps = gaps[gaps > 0]
    if len(gaps) == 0:
        return 0.0, (), 0
    step = float(np.median(gaps))
    calendar = [period for period in (DAY_S, 7 * DAY_S) if _divides(step, period)]
    if calendar:
        return step, calendar, STEP_ROWS
    if len(series) <= CORRELATION_ROWS:
        return step, (), 0
    rows = _correlated_lag(carried_forward(series.truth[:CORRELATION_ROWS]))
    # In such a series the rows are the clock.
    return step, ([] if rows is None else [-float(rows)]), CORRELATION_ROWS


def _divides(step: float, period: float) -> bool:
    rows = period / step
    return 2 <= round(rows) <= MAX_PERIOD and abs(rows - round(rows)) < 1e-3 * rows


def _correlated_lag(values: Floats) -> int | None:
    """Lag of the highest peak of the mean autocorrelation of `(rows, targets)`, or `None`."""
    centred = values - values.mean(axis=0)
    centred = centred[:, centred.std(axis=0) > 0]
    if centred.shape[1] == 0:
        return None
    centred = centred / centred.std(axis=0)
    n = len(centred)
    spectrum = np.abs(np.fft.rfft(centred, 2 * n, axis=0)) ** 2
    correlation = np.fft.irfft(spectrum, axis=0)[: n // 3].mean(axis=1) / n
    inner = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inner > correlation[:-2]) & (inner >= correlation[2:]) & (inner > MIN_CORRELATION))
    peaks = peaks[peaks >= 2]
    return int(peaks[correlation[peaks].argmax()]) if len(peaks) else None


def _value_before(series: Series, newest: Ints, horizon: int, step: float, period: float) -> Floats:
    """Targets a whole number of periods before the row that is predicted, the fewest for which they are known."""
    n = len(series)
    rows = np.arange(n)
    if period < 0:
        at = rows + horizon - int(-period) * max(1, -(-horizon // int(-period)))
        found = at >= 0
    else:
        clock = np.maximum.accumulate(series.t)
        when = clock + horizon * step - period * max(1.0, np.ceil(horizon * step / period))
        at = np.minimum(np.searchsorted(clock, when + 0.5 * step, side="right") - 1, rows)
        found = (at >= 0) & (np.abs(clock[np.maximum(at, 0)] - when) <= 0.5 * step)
    at = np.maximum(at, 0)
    known = found & (series.known_from[at] <= rows)
    value: Floats = np.where(known[:, None] & (newest >= 0), series.truth[at], np.nan)
    return value


def _better_so_far(series: Series, said: Sequence[Floats], horizon: int) -> Floats:
    """Of several predictions `(n, targets)`, the one whose errors were smaller in all that was known by then."""
    n = len(series)
    costs = []
    for one in said:
        about = np.arange(n) + horizon
        there = about < n
        error = np.full(one.shape, np.nan)
        wrong = series.truth[about[there]] - one[there]
        error[there] = (wrong != 0).astype(np.float64) if series.classes else np.abs(wrong)
        error[:n][there] = np.where(np.isnan(wrong), np.nan, error[there])
        total, count = np.zeros((n + 1, one.shape[1])), np.zeros((n + 1, one.shape[1]))
        known = np.full(n, n)
        known[there] = series.known_from[about[there]]
        np.add.at(total, known, np.nan_to_num(error))
        np.add.at(count, known, ~np.isnan(error))
        total, count = np.cumsum(total, axis=0)[:n], np.cumsum(count, axis=0)[:n]
        costs.append(np.where((count > 0) & ~np.isnan(one), total / np.maximum(count, 1), np.inf))
    best = np.argmin(costs, axis=0)
    chosen: Floats = np.take_along_axis(np.stack(said), best[None], axis=0)[0]
    for one in said:  # nothing to compare by: the first one that says something
        chosen = np.where(np.isnan(chosen), one, chosen)
    return chosen


__all__ = ["find_periods", "season_ago"]
