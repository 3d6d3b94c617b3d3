"""River's models on the same series, under the same rules: predict first, learn when the target is known.

Of its models those that its own benchmarks find good at the task, with its defaults; HAT is the Hoeffding adaptive
tree. Values are learned as changes from the newest known target, which is to their advantage: trees do not extrapolate.
NoChange, which its benchmarks list, is our persistence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from service.cli_errors import UserError
from service.evaluation.baselines import known_ahead, targets_ahead
from service.evaluation.known import carried_forward, newest_known, recent_values, values_at
from service.evaluation.season import DAY_S
from service.evaluation.series import Floats, Ints, Series
from service.evaluation.track import Track, shifted

#: Known targets that the models look back at.
LAGS = 6

MakeModel = Callable[[], Any]
OnProgress = Callable[[int], None]


@dataclass(frozen=True)
class Peer:
    """One of river's models, ready to run."""

    name: str
    rows: int
    """Rows that its progress counts, over all targets and horizons."""
    _run: Callable[[OnProgress], list[Track]]

    def run(self, progress: OnProgress | None = None) -> list[Track]:
        """Its tracks, one a horizon; `progress` is told how many more rows are done."""
        return self._run(progress if progress is not None else lambda _: None)


def has_river() -> bool:
    """Whether river is installed."""
    return find_spec("river") is not None


def river_peers(series: Series, horizons: Sequence[int] = ()) -> Iterator[Peer]:
    """The models that suit the series, fast ones first.

    Parameters
    ----------
    horizons
        Rows ahead, of a forecast.

    Raises
    ------
    UserError
        river is not installed.
    """
    if not has_river():
        raise UserError("the peers are models of the package river: pip install 'liquidstream[peers]'")
    n, width = series.truth.shape
    if series.classes:
        for name, make in _classifiers(len(series.classes)).items():
            yield Peer(name, n, lambda progress, name=name, make=make: [_classify(series, name, make, progress)])  # type: ignore[misc]
        return
    ahead: tuple[int | None, ...] = tuple(horizons) if series.y is None else (None,)
    if series.y is None:
        yield Peer("river SNARIMAX", n * width, lambda progress: _snarimax(series, horizons, progress))
    for name, make in _regressors().items():
        yield Peer(
            name,
            n * width * len(ahead),
            lambda progress, name=name, make=make: [_regress(series, h, name, make, progress) for h in ahead],  # type: ignore[misc]
        )


# --- models ----------------------------------------------------------------------------------------------------------


def _river(module: str) -> Any:
    return import_module(f"river.{module}")


def _regressors() -> dict[str, MakeModel]:
    scaler, trees, near = _river("preprocessing").StandardScaler, _river("tree"), _river("neighbors")
    return {
        "river LinearRegression": lambda: scaler() | _river("linear_model").LinearRegression(),
        "river HAT": lambda: scaler() | trees.HoeffdingAdaptiveTreeRegressor(seed=42),
        "river KNN": lambda: scaler() | near.KNNRegressor(engine=near.SWINN(seed=42)),
        "river AMF": lambda: scaler() | _river("forest").AMFRegressor(seed=42),
        "river ARF": lambda: scaler() | _river("forest").ARFRegressor(seed=42),
    }


def _classifiers(num_classes: int) -> dict[str, MakeModel]:
    scaler, trees, ensemble = _river("preprocessing").StandardScaler, _river("tree"), _river("ensemble")

    def binary(make: MakeModel) -> Any:
        return make() if num_classes == 2 else _river("multiclass").OneVsRestClassifier(make())

    linear = _river("linear_model")
    return {
        "river LogisticRegression": lambda: scaler() | binary(linear.LogisticRegression),
        "river ALMA": lambda: scaler() | binary(linear.ALMAClassifier),
        "river HAT": lambda: trees.HoeffdingAdaptiveTreeClassifier(seed=42),
        "river ARF": lambda: _river("forest").ARFClassifier(seed=42),
        "river LeveragingBagging": lambda: ensemble.LeveragingBaggingClassifier(
            trees.HoeffdingTreeClassifier(), seed=42
        ),
    }


# --- values ----------------------------------------------------------------------------------------------------------


def _regress(series: Series, horizon: int | None, name: str, make: MakeModel, progress: OnProgress) -> Track:
    """A model for each target; what it learns is the change from the newest known one."""
    newest = newest_known(series)
    base, ahead = values_at(series, newest), targets_ahead(series, horizon)
    known_from = known_ahead(series, horizon)
    n, width = series.truth.shape
    made = np.full((n, width), np.nan)
    for target in range(width):
        names, inputs = _inputs(series, target, newest)
        change = ahead[:, target] - base[:, target]
        said = _test_then_train(
            make(),
            [dict(zip(names, row, strict=True)) for row in inputs.tolist()],
            [None if np.isnan(value) else float(value) for value in change],
            known_from,
            lambda model, x: model.predict_one(x),
            progress,
        )
        made[:, target] = base[:, target] + np.array([value if value is not None else 0.0 for value in said])
    return Track(name, horizon, shifted(made, horizon))


def _snarimax(series: Series, horizons: Sequence[int], progress: OnProgress) -> list[Track]:
    """River's model for series: lags and moving average of the differences, with its own scaling and regression."""
    n, width = series.truth.shape
    made = {horizon: np.full((n, width), np.nan) for horizon in horizons}
    optim, linear, scaler = _river("optim"), _river("linear_model"), _river("preprocessing").StandardScaler
    for target in range(width):
        regressor = scaler() | linear.LinearRegression(intercept_init=0.0, optimizer=optim.SGD(0.01), intercept_lr=0.3)
        model = _river("time_series").SNARIMAX(p=12, d=1, q=3, regressor=regressor)
        seen = 0
        for row, value in enumerate(series.truth[:, target].tolist()):
            if not np.isnan(value):
                model.learn_one(value)
                seen += 1
            if seen > 1:
                future = model.forecast(horizon=max(horizons))
                for horizon in horizons:
                    made[horizon][row, target] = future[horizon - 1]
            progress(1)
    return [Track("river SNARIMAX", horizon, shifted(made[horizon], horizon)) for horizon in horizons]


# --- classes ---------------------------------------------------------------------------------------------------------


def _classify(series: Series, name: str, make: MakeModel, progress: OnProgress) -> Track:
    num_classes = len(series.classes)
    names, inputs = _inputs(series, 0, newest_known(series))
    labels: list[Any] = [None if np.isnan(label) else int(label) for label in series.truth[:, 0]]
    if num_classes == 2:
        labels = [None if label is None else bool(label) for label in labels]
    said = _test_then_train(
        make(),
        [dict(zip(names, row, strict=True)) for row in inputs.tolist()],
        labels,
        series.known_from,
        _chances,
        progress,
    )
    chances = np.array([[one.get(label, 0.0) for label in range(num_classes)] for one in said], dtype=np.float64)
    total = chances.sum(axis=1, keepdims=True)
    even = 1.0 / num_classes
    return Track(name, None, np.where(total > 0, chances / np.where(total > 0, total, 1.0), even))


def _chances(model: Any, x: dict[str, float]) -> dict[Any, float]:
    try:
        return dict(model.predict_proba_one(x))
    except NotImplementedError:
        return {model.predict_one(x): 1.0}


# --- both ------------------------------------------------------------------------------------------------------------


def _test_then_train(
    model: Any,
    inputs: list[dict[str, float]],
    goals: list[Any],
    known_from: Ints,
    predict: Callable[[Any, dict[str, float]], Any],
    progress: OnProgress,
) -> list[Any]:
    """Predictions row by row; a goal is learned, with the inputs it was predicted from, at the row that knows it."""
    n = len(inputs)
    order = np.argsort(known_from, kind="stable").tolist()
    pending, said = 0, []
    for row in range(n):
        while pending < n and known_from[order[pending]] <= row:
            made = order[pending]
            pending += 1
            if goals[made] is not None:
                model.learn_one(inputs[made], goals[made])
        said.append(predict(model, inputs[row]))
        progress(1)
    return said


def _inputs(series: Series, target: int, newest: Ints) -> tuple[list[str], Floats]:
    """Names and values `(n, size)`: the features, the last known targets, the hour of the day."""
    lags = np.nan_to_num(recent_values(series, target, newest[:, target], LAGS))
    hour = 2 * np.pi * (series.t % DAY_S) / DAY_S
    names = [f"x{at}" for at in range(series.x.shape[1])] + [f"lag{at}" for at in range(LAGS)] + ["sin", "cos"]
    columns = [carried_forward(series.x), lags, np.sin(hour)[:, None], np.cos(hour)[:, None]]
    return names, np.hstack(columns)


__all__ = ["Peer", "has_river", "river_peers"]
