"""A search over a few of the learner's settings, on the first part of each stream only.

The rest of the streams is what the settings are judged on later, and is not seen here. A choice of settings is scored
by how its error compares with persistence: the logarithm of their ratio, the mean over horizons and streams of a data
set, then over the data sets, each counting alike. Errors are the root of the mean squared error, the mean absolute
error, or the share of wrong classes. Zero: as good as persistence; -0.1: a tenth less error.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.data import MissingDataError
from benchmarks.accuracy.jobs import BASELINES, Job, Settings
from benchmarks.accuracy.rows import LIQUID, Row
from liquid_core.spec import LearnerSpec

#: Values of each setting of the learner to try. `--space FILE` reads other ones, as JSON.
SPACE: dict[str, list[Any]] = {
    "learning_rate": [2e-4, 4e-4, 8e-4],
    "forgetting": [0.9999, 0.99995, 0.99998],
    "window": [4, 8, 16],
    "scaler_rate": [5e-4, 1e-3, 2e-3],
}
#: Part of each stream that the search sees.
SHARE = 0.3
#: Choices above which a grid is drawn from instead of walked through.
TRIALS = 30


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings and how well they did."""

    fields: dict[str, Any]
    score: float
    #: The same for each data set.
    by_dataset: dict[str, float]


def choices(space: Mapping[str, Sequence[Any]], trials: int, seed: int = 0) -> list[dict[str, Any]]:
    """The defaults, then the whole grid, or `trials` of it drawn at random."""
    grid = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
    if len(grid) > trials:
        grid = random.Random(seed).sample(grid, trials)
    return [{}, *grid]


def search(
    datasets: Sequence[str],
    settings: Settings,
    space: Mapping[str, Sequence[Any]] = SPACE,
    trials: int = TRIALS,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[Trial]:
    """Every choice, as soon as it was tried.

    Raises
    ------
    SpecError, msgspec.ValidationError
        A field or value of the space is none of the learner's.
    """
    to_try = [(fields, learner_with(settings.learner, fields)) for fields in choices(space, trials)]
    settings = replace(settings, share=SHARE)
    against: dict[str, list[Row]] = {}
    for name in datasets:
        try:
            against[name] = [row for row in Job(name, BASELINES).run(settings) if row.model == "persistence"]
        except MissingDataError as error:
            note(f"{name} was left out: {error}.")
    for fields, learner in to_try:
        tried = replace(settings, learner=learner)
        by_dataset = {name: mean_log_ratio(Job(name, LIQUID).run(tried), rows) for name, rows in against.items()}
        yield Trial(fields, sum(by_dataset.values()) / max(len(by_dataset), 1), by_dataset)


def learner_with(learner: LearnerSpec, fields: Mapping[str, Any]) -> LearnerSpec:
    """A learner with other settings, checked as if they came from a user."""
    told = json.loads(msgspec.json.encode(learner)) | dict(fields)
    return msgspec.convert(told, LearnerSpec)


def mean_log_ratio(ours: Sequence[Row], persistence: Sequence[Row]) -> float:
    """Mean logarithm of the ratio of errors, over all streams and horizons that both have, whole streams only."""
    base = {(row.stream, row.horizon, row.metric): _error(row) for row in persistence if not row.part}
    ratios: dict[str, list[float]] = defaultdict(list)
    for row in ours:
        other = base.get((row.stream, row.horizon, row.metric))
        if not row.part and other:
            ratios[row.stream].append(math.log(max(_error(row), 1e-9) / other))
    means = [sum(logs) / len(logs) for logs in ratios.values()]
    return sum(means) / len(means) if means else math.nan


def _error(row: Row) -> float:
    if row.metric == "mse":
        return math.sqrt(row.value)
    return 1.0 - row.value if row.metric == "accuracy" else row.value


def ranking(trials: Sequence[Trial]) -> Table:
    """Best first."""
    table = Table(
        title=f"Settings by error against persistence, first {SHARE:.0%} of each stream",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    names = list(trials[0].by_dataset) if trials else []
    for heading in ("score", *names):
        table.add_column(heading, justify="right")
    table.add_column("settings")
    for trial in sorted(trials, key=lambda trial: trial.score):
        told = ", ".join(f"{name} {value}" for name, value in trial.fields.items()) or "the defaults"
        table.add_row(f"{trial.score:+.4f}", *(f"{trial.by_dataset[name]:+.4f}" for name in names), told)
    return table


def run_search(
    datasets: Sequence[str],
    settings: Settings,
    space: Mapping[str, Sequence[Any]],
    trials: int,
    console: Console,
    path: Path | None,
) -> None:
    """Try, print and write."""
    done: list[Trial] = []
    for trial in search(datasets, settings, space, trials, lambda text: console.print(f"- {text}", markup=False)):
        done.append(trial)
        console.print(f"{trial.score:+.4f}  {trial.fields or 'the defaults'}", markup=False, highlight=False)
        if path is not None:
            found = sorted(done, key=lambda trial: trial.score)
            told = [{"score": one.score, "by_dataset": one.by_dataset, "fields": one.fields} for one in found]
            path.write_text(json.dumps({"share": SHARE, "space": dict(space), "trials": told}, indent=1) + "\n")
    console.print(ranking(done))


__all__ = [
    "SHARE",
    "SPACE",
    "TRIALS",
    "Trial",
    "choices",
    "learner_with",
    "mean_log_ratio",
    "ranking",
    "run_search",
    "search",
]
