"""Scores of a track: how far from the truth, how well the intervals hold, how often the right class.

Errors are means over all values that count: rows in the range, after the warm-up, whose target and prediction are
both there; of several targets each value counts alike. Squared errors are least at the mean and absolute ones at the
median (Gneiting 2011), so a model that says both is held to each by its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.evaluation.series import Floats, Series
from service.evaluation.track import Track

#: Rows from the first up to, but not including, the second.
RowRange = tuple[int, int]
Score = dict[str, float | int | None]

_SMALLEST_PROBABILITY = 1e-15


def score(
    series: Series,
    track: Track,
    normalise_by: RowRange | None = None,
    rows: RowRange | None = None,
    warmup: int = 0,
    *,
    counts: NDArray[np.bool_] | None = None,
) -> Score:
    """Score one track.

    Parameters
    ----------
    normalise_by
        Rows whose mean and standard deviation, per target, are the units of errors and widths; `None`: the target's
        own units.
    rows
        Rows whose targets count; `None`: all.
    warmup
        The first rows, which do not count.
    counts
        `(n, targets)`, `(n, 1)` for classes: further choice of values, such as those that all models predicted.

    Returns
    -------
    dict
        ``count`` values; ``mse`` of the prediction, ``mae`` of the median where the track has one, and, of a track with
        intervals, ``coverage`` and ``width``, else `None`.
        Of classes ``count``, ``accuracy``, ``kappa``, ``auc`` and ``log_loss``. `None` stands for what cannot be said.
    """
    chosen = scored_values(series, track, rows, warmup)
    if counts is not None:
        chosen &= counts
    if series.classes:
        at = chosen[:, 0]
        return _class_scores(track.prediction[at], series.truth[at, 0].astype(np.int64))
    unit = units(series, normalise_by).scale
    error, size = (((said - series.truth) / unit)[chosen] for said in (track.prediction, track.by_size))
    result: Score = {
        "count": int(chosen.sum()),
        "mse": _mean(error**2),
        "mae": _mean(np.abs(size)),
        "coverage": None,
        "width": None,
    }
    if track.lower is not None and track.upper is not None:
        inside = (track.lower <= series.truth) & (series.truth <= track.upper)
        result["coverage"] = _mean(inside[chosen].astype(np.float64))
        result["width"] = _mean(((track.upper - track.lower) / unit)[chosen])
    return result


def scored_values(series: Series, track: Track, rows: RowRange | None = None, warmup: int = 0) -> NDArray[np.bool_]:
    """Which values count, `(n, targets)`; `(n, 1)` for classes."""
    at = np.arange(len(series))
    start, stop = rows if rows is not None else (0, len(series))
    in_range = (at >= max(start, warmup)) & (at < stop)
    said: NDArray[np.bool_] = np.isfinite(track.prediction)
    if series.classes:
        said = np.asarray(said.all(axis=1, keepdims=True))
    chosen: NDArray[np.bool_] = in_range[:, None] & said & np.isfinite(series.truth)
    return chosen


@dataclass(frozen=True)
class Units:
    """Mean and standard deviation of each target, `(targets,)`."""

    mean: Floats
    scale: Floats


def units(series: Series, rows: RowRange | None) -> Units:
    """What errors are measured in: the rows' mean and population standard deviation; without rows 0 and 1.

    A target that does not vary there keeps its own units.

    Raises
    ------
    ValueError
        A target has no value in these rows.
    """
    targets = series.truth.shape[1]
    if rows is None:
        return Units(np.zeros(targets), np.ones(targets))
    part = series.truth[rows[0] : rows[1]]
    absent = np.asarray(np.isnan(part).all(axis=0)).tolist()
    empty = [name for name, missing in zip(series.targets, absent, strict=True) if missing]
    if len(part) == 0 or empty:
        raise ValueError(f"rows {rows[0]}:{rows[1]} hold no value of {', '.join(empty or series.targets)}.")
    scale = np.nanstd(part, axis=0)
    return Units(np.nanmean(part, axis=0), np.where(scale > 0, scale, 1.0))


def _class_scores(probabilities: Floats, truth: NDArray[np.int64]) -> Score:
    """Scores of `(m, classes)` probabilities against `(m,)` class indices."""
    if len(truth) == 0:
        return {"count": 0, "accuracy": None, "kappa": None, "auc": None, "log_loss": None}
    said = probabilities.argmax(axis=1)
    accuracy = float((said == truth).mean())
    of_truth = probabilities[np.arange(len(truth)), truth]
    return {
        "count": len(truth),
        "accuracy": accuracy,
        "kappa": kappa(said, truth, probabilities.shape[1]),
        "auc": auc(probabilities, truth),
        "log_loss": float(-np.log(np.clip(of_truth, _SMALLEST_PROBABILITY, 1.0)).mean()),
    }


def kappa(said: NDArray[np.int64], truth: NDArray[np.int64], num_classes: int) -> float | None:
    """Cohen's kappa: agreement beyond that of chance; `None` where chance agrees always."""
    observed = float((said == truth).mean())
    share_said = np.bincount(said, minlength=num_classes) / len(said)
    share_truth = np.bincount(truth, minlength=num_classes) / len(truth)
    chance = float(share_said @ share_truth)
    return (observed - chance) / (1.0 - chance) if chance < 1.0 else None


def auc(probabilities: Floats, truth: NDArray[np.int64]) -> float | None:
    """Area under the ROC curve of `(m, classes)` probabilities; `None` where only one class was seen.

    Two classes: of the second. More: the mean over the classes that were seen, each against all others.
    """
    columns = [1] if probabilities.shape[1] == 2 else list(range(probabilities.shape[1]))
    areas = [_area(probabilities[:, column], truth == column) for column in columns]
    there = [area for area in areas if area is not None]
    return float(np.mean(there)) if there else None


def _area(values: Floats, positive: NDArray[np.bool_]) -> float | None:
    """Chance that a positive one has the larger value, by ranks (Mann and Whitney 1947); ties count half."""
    ups = int(positive.sum())
    downs = len(positive) - ups
    if ups == 0 or downs == 0:
        return None
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(count)
    rank = (last_rank - (count - 1) / 2.0)[place]  # ties share the mean of their ranks
    return float((rank[positive].sum() - ups * (ups + 1) / 2.0) / (ups * downs))


def _mean(values: Floats) -> float | None:
    if len(values) == 0:
        return None
    mean = float(values.mean())
    return mean if math.isfinite(mean) else None


__all__ = ["RowRange", "Score", "Units", "auc", "kappa", "score", "scored_values", "units"]
