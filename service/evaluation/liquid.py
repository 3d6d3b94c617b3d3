"""The stream itself: a series stepped through the engine as the service steps it, without server and store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from liquid_core.engine import EngineKind, Label, Observation, Sample, Slab, build_engine
from liquid_core.spec import ModelSpec
from service.evaluation.series import Floats, Ints, Series
from service.evaluation.track import Track, shifted

#: Rows that are stepped in one call.
CHUNK = 1000

#: Told how many more rows are done.
OnProgress = Callable[[int], None]


@dataclass(frozen=True)
class LiquidRun:
    """What a stream said about a series."""

    tracks: list[Track]
    """One for each horizon; one with `horizon=None` where labels come from outside."""
    anomaly: Floats
    """`(n,)`: score of the target of each row, NaN where there is none."""
    drift_rows: Ints
    """Rows whose target set the drift detector off."""
    engine: str
    """``native`` or ``torch``."""
    num_params: int


def run_liquid(
    series: Series,
    spec: ModelSpec,
    *,
    engine: EngineKind = "auto",
    seed: int | None = None,
    progress: OnProgress | None = None,
) -> LiquidRun:
    """Send a series through a fresh stream, test-then-train.

    Every row is one sample, numbered from 1. A label is delivered with its sample, or before the sample that
    `series.label_after` names; one that comes later than the spec's `label_horizon` is left out, as the service would
    refuse it, and so is one with a hole.

    Parameters
    ----------
    spec
        The model; its features, targets and classes must be those of the series. Times may step back if it says
        ``late: clamp``.
    seed
        Seed of the initial weights, instead of the spec's.

    Raises
    ------
    ValueError
        Spec and series name different features, targets or classes.
    SpecError, EngineUnavailableError
        The engine cannot step this spec.
    """
    _check_names(series, spec)
    if seed is not None:
        spec = msgspec.structs.replace(spec, seed=seed)
    stepper = build_engine(spec, engine)
    slab = Slab(stepper.layout)
    slot = slab.load(stepper.initial_row())
    n = len(series)
    made = np.full((n, spec.num_outputs), np.nan)
    median = np.full((n, spec.num_medians), np.nan)
    half_width = np.full((n, spec.num_outputs), np.nan)
    anomaly, drift = np.full(n, np.nan), np.zeros(n, dtype=np.bool_)
    for records in _chunks(series, spec):
        results = stepper.step(slab, [slot] * len(records), records)
        is_sample = np.array([isinstance(record, Sample) for record in records])
        rows = np.array([record.seq for record in records]) - 1
        made[rows[is_sample]] = results.prediction[is_sample]
        median[rows[is_sample]] = results.median[is_sample]
        half_width[rows[is_sample]] = results.half_width[is_sample]
        scored = results.anomaly >= 0
        anomaly[rows[scored]] = results.anomaly[scored]
        drift[rows[results.drift]] = True
        if progress is not None:
            progress(int(is_sample.sum()))
    return LiquidRun(
        tracks=_tracks(series, spec, made, median, half_width),
        anomaly=anomaly,
        drift_rows=np.flatnonzero(drift).astype(np.int64),
        engine=stepper.name,
        num_params=stepper.num_params,
    )


def _tracks(series: Series, spec: ModelSpec, made: Floats, median: Floats, half_width: Floats) -> list[Track]:
    """Outputs `(n, horizons * targets)` by the row of their sample, as a track for each horizon."""
    if series.task == "classification":
        return [Track("liquid", None, made)]
    width = spec.num_targets
    tracks = []
    for at, horizon in enumerate(spec.horizons or (None,)):
        outputs = slice(at * width, (at + 1) * width)
        said, middle, half = (shifted(each[:, outputs], horizon) for each in (made, median, half_width))
        tracks.append(Track("liquid", horizon, said, said - half, said + half, middle))
    return tracks


def _chunks(series: Series, spec: ModelSpec) -> Iterator[list[Observation]]:
    """The records of the stream in their order, some thousand at a time.

    Records are made here and not admitted one by one: what admission would refuse, a series cannot hold or is left out.
    """
    n = len(series)
    labels = _deliveries(series, spec)
    for start in range(0, n, CHUNK):
        chunk: list[Observation] = []
        times = series.t[start : start + CHUNK].tolist()
        values = series.x[start : start + CHUNK].tolist()
        for row, (t, x) in enumerate(zip(times, values, strict=True), start):
            own: tuple[float, ...] | None = None
            for about, y in labels.get(row, ()):
                if about == row:
                    own = y
                else:
                    chunk.append(Label(seq=about + 1, y=y))
            chunk.append(Sample(seq=row + 1, t=t, x=tuple(x), y=own))
        yield chunk


def _deliveries(series: Series, spec: ModelSpec) -> dict[int, list[tuple[int, tuple[float, ...]]]]:
    """For each row, the labels that come with its sample (the row's own) or right before it: their row and value."""
    if series.y is None:
        return {}
    n = len(series)
    rows = np.arange(n)
    due = rows if series.label_after is None else series.label_after
    usable = np.isfinite(series.y).all(axis=1) & (due < n) & (due - rows <= spec.learner.label_horizon)
    found: dict[int, list[tuple[int, tuple[float, ...]]]] = {}
    for row in np.flatnonzero(usable).tolist():
        found.setdefault(int(due[row]), []).append((row, tuple(series.y[row].tolist())))
    return found


def _check_names(series: Series, spec: ModelSpec) -> None:
    told = (series.task, series.features, series.classes, () if series.classes else series.targets)
    known = (spec.task, spec.features, spec.classes, spec.targets)
    if told != known:
        raise ValueError(f"the series holds {told}, but the spec is for {known}.")


__all__ = ["CHUNK", "LiquidRun", "OnProgress", "run_liquid"]
