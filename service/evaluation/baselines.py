"""What any model must beat: nothing changes, the same as a season ago, and linear models that learn online.

Each of them says from the first known target on what it can, and falls back on persistence until it knows better. None
uses a target before it is known: a forecast's at its own row, a label from the row before whose sample it is delivered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from service.evaluation.known import carried_forward, newest_known, recent_values, running_scale, values_at
from service.evaluation.rls import online_least_squares
from service.evaluation.season import DAY_S, season_ago
from service.evaluation.series import Floats, Ints, Series
from service.evaluation.track import Track, shifted

#: Lags of the target that the autoregression looks at.
AR_LAGS = 24
#: Changes of each feature that the linear model looks at, where they are not too many.
CHANGES = 3
#: Inputs beyond which the linear model looks at levels only.
MAX_INPUTS = 200
#: Targets that are stepped side by side.
GROUP = 8
#: No input is further from its mean than so many standard deviations.
MAX_INPUT = 10.0


def run_baselines(series: Series, horizons: Sequence[int] = ()) -> Iterator[Track]:
    """Every baseline that suits the series, at each horizon; one by one, since the linear ones take their time.

    Parameters
    ----------
    horizons
        Rows ahead, of a forecast; labels from outside are predicted at their own row.
    """
    for horizon in horizons if series.y is None else (None,):
        yield persistence(series, horizon)
        if (season := seasonal_naive(series, horizon)) is not None:
            yield season
        if not series.classes:
            yield online_ar(series, horizon)
        yield online_linear(series, horizon)


def persistence(series: Series, horizon: int | None = None) -> Track:
    """The newest target that was known when the prediction was made."""
    newest = newest_known(series)
    return Track("persistence", horizon, shifted(_said(series, values_at(series, newest), newest), horizon))


def seasonal_naive(series: Series, horizon: int | None = None) -> Track | None:
    """The target one season before, else the newest one; `None` where no season is found."""
    newest = newest_known(series)
    ago = season_ago(series, newest, horizon or 0)
    if np.isnan(ago).all():
        return None
    value = np.where(np.isnan(ago), values_at(series, newest), ago)
    return Track("seasonal_naive", horizon, shifted(_said(series, value, newest), horizon))


def online_ar(series: Series, horizon: int | None = None) -> Track:
    """An autoregression for each target, on its last 24 known values: the change from the newest one."""
    newest = newest_known(series)
    made: Floats = np.full(series.truth.shape, np.nan)
    width = series.truth.shape[1]
    for first in range(0, width, GROUP):
        group = slice(first, min(first + GROUP, width))
        inputs = np.stack(
            [_ar_inputs(series, target, newest[:, target]) for target in range(group.start, group.stop)], axis=1
        )
        base, scale = _base_and_scale(series, newest, group)
        goals = (targets_ahead(series, horizon)[:, group] - base) / scale
        change = online_least_squares(inputs, goals[:, :, None], known_ahead(series, horizon))[:, :, 0]
        made[:, group] = base + np.nan_to_num(scale) * change
    return Track("online_ar", horizon, shifted(made, horizon))


def online_linear(series: Series, horizon: int | None = None) -> Track:
    """A linear model of all features, their last changes, the season and the calendar.

    Values: the change from the newest known target. Classes: their chance, by least squares, cut to [0, 1].
    """
    newest = newest_known(series)
    inputs = _linear_inputs(series, newest, horizon)
    known_from = known_ahead(series, horizon)
    if series.classes:
        truth = series.truth[:, 0]
        goals = np.where(np.isnan(truth)[:, None], np.nan, truth[:, None] == np.arange(len(series.classes)))
        chance = online_least_squares(inputs, goals[:, None, :], known_from)[:, 0]
        return Track("online_linear", None, _as_probabilities(chance))
    base, scale = _base_and_scale(series, newest, slice(None))
    goals = (targets_ahead(series, horizon) - base) / scale
    change = online_least_squares(inputs, goals[:, None, :], known_from)[:, 0]
    return Track("online_linear", horizon, shifted(base + np.nan_to_num(scale) * change, horizon))


# --- what is learned -------------------------------------------------------------------------------------------------


def targets_ahead(series: Series, horizon: int | None) -> Floats:
    """`(n, targets)`: by the row at which it is predicted."""
    if not horizon:
        return series.truth
    ahead = np.full(series.truth.shape, np.nan)
    ahead[:-horizon] = series.truth[horizon:]
    return ahead


def known_ahead(series: Series, horizon: int | None) -> Ints:
    """`(n,)`: the row at which the target that a row predicts is known; n where never."""
    if not horizon:
        return series.known_from
    known = np.full(len(series), len(series), dtype=np.int64)
    known[:-horizon] = series.known_from[horizon:]
    return known


def _base_and_scale(series: Series, newest: Ints, group: slice) -> tuple[Floats, Floats]:
    """Newest known target and the typical size of its changes so far, `(n, targets of the group)`.

    Both are NaN before there is one: without a scale nothing is learned, and no change is predicted.
    """
    base = values_at(series, newest)[:, group]
    change = np.diff(carried_forward(base), axis=0, prepend=0.0)
    change[np.isnan(np.vstack([base[:1] * np.nan, base[:-1]]))] = 0.0  # the step from nothing to the first value
    size = np.sqrt(np.cumsum(change**2, axis=0) / np.arange(1, len(base) + 1)[:, None])
    return base, np.where(size > 0, size, np.nan)


# --- inputs ----------------------------------------------------------------------------------------------------------


def _ar_inputs(series: Series, target: int, newest: Ints) -> Floats:
    """`(n, 1 + lags)`: one, the level, the changes before it."""
    values = np.nan_to_num(recent_values(series, target, newest, AR_LAGS))
    mean, spread = running_scale(values[:, :1])
    changes = values[:, :-1] - values[:, 1:]
    size = np.sqrt(np.cumsum(changes[:, :1] ** 2, axis=0) / np.arange(1, len(values) + 1)[:, None])
    columns = [np.ones((len(values), 1)), (values[:, :1] - mean) / spread, changes / np.where(size > 0, size, 1.0)]
    return np.clip(np.hstack(columns), -MAX_INPUT, MAX_INPUT)


def _linear_inputs(series: Series, newest: Ints, horizon: int | None) -> Floats:
    """`(n, 1, size)`: one, levels and changes of the features, known labels, season, time of the day and week."""
    levels = carried_forward(series.x)
    columns = [np.ones((len(series), 1)), _standardised(levels)]
    if series.x.shape[1] * (1 + CHANGES) <= MAX_INPUTS:
        changes = np.diff(levels, axis=0, prepend=levels[:1])
        changes = changes / running_scale(changes)[1]
        columns += [np.vstack([np.zeros_like(changes[:lag]), changes[: len(changes) - lag]]) for lag in range(CHANGES)]
    base, scale = _base_and_scale(series, newest, slice(None))
    ago = season_ago(series, newest, horizon or 0)
    if series.classes:
        for value in (base, ago):
            columns.append((value == np.arange(len(series.classes))).astype(np.float64))
    else:
        columns.append(np.nan_to_num((ago - base) / scale))
        if series.y is not None:
            known = carried_forward(base)
            columns += [_standardised(known), np.diff(known, axis=0, prepend=known[:1]) / scale]
    columns.append(_calendar(series.t))
    inputs: Floats = np.clip(np.nan_to_num(np.hstack(columns)), -MAX_INPUT, MAX_INPUT)[:, None, :]
    return inputs


def _standardised(values: Floats) -> Floats:
    mean, spread = running_scale(values)
    return (values - mean) / spread


def _calendar(t: Floats) -> Floats:
    """`(n, 4)`: time of the day and of the week, each as a point on a circle."""
    angles = [2 * np.pi * (t % period) / period for period in (DAY_S, 7 * DAY_S)]
    return np.stack([turn(angle) for angle in angles for turn in (np.sin, np.cos)], axis=1)


# --- classes ---------------------------------------------------------------------------------------------------------


def _said(series: Series, value: Floats, newest: Ints) -> Floats:
    """A value `(n, targets)` as a track says it: itself, or for a class index `(n, 1)` its probability and the rest.

    The class gets the share of labels so far that were equal to the one known before them, but always the largest; the
    others share what is left.
    """
    if not series.classes:
        return value
    n, num_classes = len(series), len(series.classes)
    agrees = series.truth[:, 0] == values_at(series, newest)[:, 0]
    counted = ~np.isnan(series.truth[:, 0]) & (newest[:, 0] >= 0)
    right, count = np.zeros(n + 1), np.zeros(n + 1)
    np.add.at(right, series.known_from, agrees & counted)
    np.add.at(count, series.known_from, counted)
    share = (np.cumsum(right)[:n] + 1.0) / (np.cumsum(count)[:n] + 2.0)
    share = np.maximum(share, 1.0 / num_classes + 0.01)
    is_class = value == np.arange(num_classes)
    chances = np.where(is_class, share[:, None], ((1.0 - share) / (num_classes - 1))[:, None])
    said: Floats = np.where(np.isnan(value), 1.0 / num_classes, chances)
    return said


def _as_probabilities(chance: Floats) -> Floats:
    """`(n, classes)` cut to what a chance can be, with sum 1."""
    cut: Floats = np.clip(chance, 0.01, 0.99)
    chances: Floats = cut / cut.sum(axis=1, keepdims=True)
    return chances


__all__ = [
    "known_ahead",
    "online_ar",
    "online_linear",
    "persistence",
    "run_baselines",
    "seasonal_naive",
    "targets_ahead",
]
