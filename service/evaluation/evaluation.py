"""An evaluation: the stream and all it is held against, scored on the same values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liquid_core.engine import EngineKind
from liquid_core.spec import ModelSpec
from service.evaluation.baselines import run_baselines
from service.evaluation.liquid import LiquidRun, OnProgress, run_liquid
from service.evaluation.peers import river_peers
from service.evaluation.scores import RowRange, Score, score, scored_values
from service.evaluation.series import Series
from service.evaluation.track import Track

#: Called with the name of what begins and how many rows it has; what it returns is told how many more are done.
OnBegin = Callable[[str, int], OnProgress]


@dataclass(frozen=True)
class Result:
    """The score of one model at one horizon."""

    model: str
    horizon: int | None
    scores: Score
    relative_error: float | None
    """Its error over persistence's: of values the mean absolute error, of classes the share of wrong ones."""

    @property
    def error(self) -> float | None:
        """Mean absolute error; of classes the share of wrong ones."""
        return error_of(self.scores)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What came out."""

    series: Series
    spec: ModelSpec
    liquid: LiquidRun
    tracks: list[Track]
    results: list[Result]
    """In the order of `tracks`, horizon by horizon."""
    normalise_by: RowRange | None
    rows: RowRange | None
    warmup: int

    @property
    def horizons(self) -> tuple[int | None, ...]:
        return self.spec.horizons or (None,)

    def at(self, horizon: int | None) -> list[Result]:
        """The results of one horizon."""
        return [result for result in self.results if result.horizon == horizon]


def evaluate(
    series: Series,
    spec: ModelSpec,
    *,
    engine: EngineKind = "auto",
    peers: bool = False,
    normalise_by: RowRange | None = None,
    rows: RowRange | None = None,
    warmup: int = 0,
    begin: OnBegin | None = None,
) -> Evaluation:
    """Run the stream and its rivals over a series, and score them on the values that all of them predicted.

    Parameters
    ----------
    peers
        Run river's models too.
    normalise_by, rows, warmup
        As of `score`.

    Raises
    ------
    UserError
        The peers were asked for and river is not installed.
    SpecError, EngineUnavailableError
        The engine cannot step this spec.
    ValueError
        The rows to normalise by hold no value of a target.
    """
    begin = begin if begin is not None else lambda _name, _rows: lambda _done: None
    liquid = run_liquid(series, spec, engine=engine, progress=begin("liquid", len(series)))
    tracks = [*liquid.tracks, *_rivals(series, spec, peers, begin)]
    results: list[Result] = []
    for horizon in spec.horizons or (None,):
        group = [track for track in tracks if track.horizon == horizon]
        counts = _said_by_all(series, group, rows, warmup)
        scores = {track.model: score(series, track, normalise_by, rows, warmup, counts=counts) for track in group}
        naive = error_of(scores["persistence"])
        results += [Result(model, horizon, scored, _ratio(error_of(scored), naive)) for model, scored in scores.items()]
    return Evaluation(
        series=series,
        spec=spec,
        liquid=liquid,
        tracks=tracks,
        results=results,
        normalise_by=normalise_by,
        rows=rows,
        warmup=warmup,
    )


def error_of(scores: Score) -> float | None:
    """Mean absolute error; of classes the share of wrong ones."""
    if "mae" in scores:
        return scores["mae"]
    accuracy = scores["accuracy"]
    return 1.0 - accuracy if accuracy is not None else None


def _rivals(series: Series, spec: ModelSpec, peers: bool, begin: OnBegin) -> Iterator[Track]:
    done = begin("baselines", (3 if series.classes else 4) * max(1, len(spec.horizons)))
    for track in run_baselines(series, spec.horizons):
        done(1)
        yield track
    if peers:
        for peer in river_peers(series, spec.horizons):
            yield from peer.run(begin(peer.name, peer.rows))


def _said_by_all(series: Series, tracks: list[Track], rows: RowRange | None, warmup: int) -> NDArray[np.bool_]:
    """Values that every track predicted, so that all are scored on the same ones."""
    said: NDArray[np.bool_] = np.logical_and.reduce([scored_values(series, track, rows, warmup) for track in tracks])
    return said


def _ratio(error: float | None, naive: float | None) -> float | None:
    return error / naive if error is not None and naive else None


__all__ = ["Evaluation", "OnBegin", "Result", "error_of", "evaluate"]
