"""A picture of an evaluation: the last forecasts beside the truth, and how every model's error went over time."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from service.cli_errors import UserError
from service.evaluation.evaluation import Evaluation
from service.evaluation.series import Floats, Series
from service.evaluation.track import Track

#: Rows of the upper picture.
SHOWN_ROWS = 300
_STYLES: dict[str, dict[str, Any]] = {
    "liquid": {"color": "black", "lw": 1.8, "zorder": 3},
    "persistence": {"color": "grey", "lw": 0.9},
}
#: The running error is a mean over this part of the rows.
_WINDOW_SHARE = 50


def check_can_plot(path: Path) -> None:
    """Say before anything is computed that no picture will come of it; raises `UserError`."""
    if find_spec("matplotlib") is None:
        raise UserError("--plot needs the package matplotlib: pip install matplotlib")
    if not path.parent.is_dir():
        raise UserError(f"--plot: there is no folder {path.parent}.", 2)


def plot(evaluation: Evaluation, path: Path) -> None:
    """Draw it into a file, whose ending says the format.

    Raises
    ------
    UserError
        matplotlib is not installed, or does not know the ending.
    """
    check_can_plot(path)
    figures: Any = import_module("matplotlib.figure")
    horizons = evaluation.horizons
    figure = figures.Figure(figsize=(11, 3 + 2.6 * len(horizons)), layout="constrained")
    axes = figure.subplots(1 + len(horizons), 1, squeeze=False)[:, 0]
    _draw_forecast(axes[0], evaluation)
    for axis, horizon in zip(axes[1:], horizons, strict=True):
        _draw_errors(axis, evaluation, horizon)
    try:
        figure.savefig(path, dpi=130)
    except (ValueError, OSError) as error:
        raise UserError(f"--plot: {error}", 2) from error


def _draw_forecast(axis: Any, evaluation: Evaluation) -> None:
    """The stream's first target at the shortest horizon, over the last rows."""
    series, track = evaluation.series, evaluation.liquid.tracks[0]
    rows = np.arange(max(0, len(series) - SHOWN_ROWS), len(series))
    if series.classes:
        named = series.classes[-1]
        axis.plot(rows, series.truth[rows, 0] == len(series.classes) - 1, ".", color="black", ms=3, label=named)
        axis.plot(rows, track.prediction[rows, -1], color="tab:blue", lw=1, label="its predicted chance")
    else:
        ahead = "" if track.horizon is None else f", {track.horizon} ahead"
        axis.plot(rows, series.truth[rows, 0], color="black", lw=1, label=series.targets[0])
        axis.plot(rows, track.prediction[rows, 0], color="tab:blue", lw=1, label=f"liquid{ahead}")
        if track.lower is not None and track.upper is not None:
            lower, upper = track.lower[rows, 0], track.upper[rows, 0]
            axis.fill_between(rows, lower, upper, color="tab:blue", alpha=0.15, lw=0, label="its interval")
    axis.set_title(f"{series.name}: the last {len(rows)} rows", loc="left", fontsize=10)
    axis.legend(loc="upper left", fontsize=8)


def _draw_errors(axis: Any, evaluation: Evaluation, horizon: int | None) -> None:
    """Running error of each model, and where the stream saw a drift."""
    series = evaluation.series
    window = max(20, len(series) // _WINDOW_SHARE)
    for track in evaluation.tracks:
        if track.horizon == horizon:
            style = _STYLES.get(track.model, {"lw": 0.9})
            axis.plot(_running_mean(_errors(series, track), window), label=track.model, **style)
    for at, row in enumerate(evaluation.liquid.drift_rows.tolist()):
        axis.axvline(row, color="tab:red", lw=0.8, ls=":", label="drift" if at == 0 else None)
    ahead = "" if horizon is None else f", horizon {horizon}"
    what = "share of wrong classes" if series.classes else "error, in each target's standard deviations"
    axis.set_title(f"Mean {what}, over {window} rows{ahead}", loc="left", fontsize=10)
    axis.set_xlim(0, len(series))
    axis.legend(loc="upper left", fontsize=8, ncols=3)


def _errors(series: Series, track: Track) -> Floats:
    """`(n,)`, NaN where there is nothing."""
    truth = series.truth
    if series.classes:
        wrong = track.prediction.argmax(axis=1) != truth[:, 0]
        return np.where(np.isnan(truth[:, 0]), np.nan, wrong)
    seen = ~np.isnan(truth)
    mean = np.nansum(truth, axis=0) / np.maximum(seen.sum(axis=0), 1)
    scale = np.sqrt(np.nansum((truth - mean) ** 2, axis=0) / np.maximum(seen.sum(axis=0), 1))
    error = np.abs(track.by_size - truth) / np.where(scale > 0, scale, 1.0)
    there = np.isfinite(error).sum(axis=1)
    return np.where(there > 0, np.nansum(error, axis=1) / np.maximum(there, 1), np.nan)


def _running_mean(values: Floats, window: int) -> Floats:
    total = np.cumsum(np.nan_to_num(values))
    count = np.cumsum(np.isfinite(values))
    total[window:], count[window:] = total[window:] - total[:-window], count[window:] - count[:-window]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


__all__ = ["check_can_plot", "plot"]
