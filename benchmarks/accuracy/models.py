"""The models that are compared: the default one as it is, what any model must beat, and river's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.accuracy.data import Stream
from liquid_core.spec import LearnerSpec, ModelSpec
from service.evaluation import Track
from service.evaluation.baselines import run_baselines
from service.evaluation.peers import river_peers
from service.evaluation.series import Floats

#: River's models by data set; on the others they take too long or are not compared.
_ALL_REGRESSORS = (
    "river SNARIMAX",
    "river LinearRegression",
    "river HAT",
    "river KNN",
    "river AMF",
    "river ARF",
)
RIVER: dict[str, tuple[str, ...]] = {
    "metro": _ALL_REGRESSORS,
    "beijing": _ALL_REGRESSORS,
    "tetouan": _ALL_REGRESSORS,
    "bikes": ("river LinearRegression", "river HAT", "river ARF"),
    "elec2": (
        "river LogisticRegression",
        "river ALMA",
        "river HAT",
        "river ARF",
        "river LeveragingBagging",
    ),
    "nab": ("river HalfSpaceTrees",),
    "concepts": ("river ARF",),
}
Z_SCORE = "z-score"
HALF_SPACE_TREES = "river HalfSpaceTrees"
#: Rate at which the z-score forgets how large changes were.
Z_RATE = 0.01


def model_spec(stream: Stream, learner: LearnerSpec, horizon: int | None) -> ModelSpec:
    """What a user would send for such a stream: names and a horizon, all else as it is by default.

    Each horizon has a model of its own, as in the published protocols.
    """
    series = stream.series
    return ModelSpec(
        task=series.task,
        features=series.features,
        targets=() if series.classes else series.targets,
        horizon=horizon or 1,
        classes=series.classes,
        learner=learner,
        late="clamp" if stream.clamp else "reject",
    )


def baseline_tracks(stream: Stream) -> Iterator[Track]:
    """Persistence, seasonal naive, autoregression and linear model, as far as they suit the stream."""
    return run_baselines(stream.series, stream.horizons)


def river_tracks(stream: Stream, name: str) -> list[Track]:
    """What one of river's models says.

    Raises
    ------
    LookupError
        There is no such model for the stream's task.
    """
    for peer in river_peers(stream.series, stream.horizons):
        if peer.name == name:
            return peer.run()
    raise LookupError(f"{name} is not among river's models for a {stream.series.task}")


def z_scores(stream: Stream) -> Floats:
    """`(n,)`: the change from one value to the next in units of its running size; NaN before there is one."""
    values = stream.series.truth[:, 0]
    found = np.full(len(values), np.nan)
    mean_square, seen, last = 0.0, 0, np.nan
    for row, value in enumerate(values.tolist()):
        change = value - last
        if not np.isnan(change):
            if mean_square > 0:
                found[row] = abs(change) / np.sqrt(mean_square)
            seen += 1
            mean_square += max(Z_RATE, 1.0 / seen) * (change**2 - mean_square)
        last = value if not np.isnan(value) else last
    return found


def half_space_trees(stream: Stream) -> Floats:
    """`(n,)`: scores of river's detector on the value, scaled to what was seen so far, as its documentation does."""
    from river import anomaly, preprocessing

    model: Any = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=42)
    values = stream.series.truth[:, 0]
    found = np.full(len(values), np.nan)
    for row, value in enumerate(values.tolist()):
        if np.isnan(value):
            continue
        x = {"value": value}
        found[row] = model.score_one(x)
        model.learn_one(x)
    return found


__all__ = [
    "HALF_SPACE_TREES",
    "RIVER",
    "Z_SCORE",
    "baseline_tracks",
    "half_space_trees",
    "model_spec",
    "river_tracks",
    "z_scores",
]
