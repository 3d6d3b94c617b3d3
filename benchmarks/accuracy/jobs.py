"""The run as jobs that know nothing of each other: a data set, and the models that are run on it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
import torch

from benchmarks.accuracy import models
from benchmarks.accuracy.data import LOADERS, Mask, MissingDataError, Stream
from benchmarks.accuracy.rows import LIQUID, NO_DETECTOR, Row, Rows
from benchmarks.accuracy.synthetic import MAKERS
from liquid_core.engine import EngineKind
from liquid_core.spec import LearnerSpec, NoDriftSpec
from service.evaluation import Track, run_liquid, score
from service.evaluation.baselines import persistence
from service.evaluation.scores import auc
from service.evaluation.series import Floats

ROOT = Path(__file__).parents[2]
BASELINES = "baselines"
DATASETS = (*LOADERS, *MAKERS)
QUICK_ROWS = 6000
#: Files and folders of code that decide about everybody's figures; goals and tables do not.
SOURCES = (
    *(f"benchmarks/accuracy/{name}.py" for name in ("concepts", "data", "jobs", "models", "rows", "synthetic")),
    "service/evaluation",
)
DEFAULT = LearnerSpec()


@dataclass(frozen=True)
class Settings:
    """How to run; what decides about the figures."""

    data: Path
    seeds: int = 5
    quick: bool = False
    learner: LearnerSpec = DEFAULT
    engine: EngineKind = "auto"
    share: float = 1.0
    """Of each real stream, the part from its beginning that is there at all."""


@dataclass(frozen=True)
class Job:
    """Some models on a data set."""

    dataset: str
    part: str
    """``liquid``, the same without a detector, ``baselines`` or one of river's models."""

    @property
    def name(self) -> str:
        return f"{self.dataset} / {self.part}"

    def fingerprint(self, settings: Settings) -> str:
        """Changes with whatever its rows depend on, where the project's code and these settings are concerned."""
        sources = [*SOURCES]
        told = [self.name, settings.quick, settings.share, self._seeds(settings)]
        if self._ours:
            sources.append("liquid_core")
            told += [msgspec.json.encode(settings.learner), settings.engine]
        return hashlib.sha256(repr([told, [_digest(source) for source in sources]]).encode()).hexdigest()[:16]

    def run(self, settings: Settings) -> list[Row]:
        """Its rows.

        Raises
        ------
        MissingDataError
            The data set is not there.
        """
        rows = Rows()
        for seed in range(self._seeds(settings)):
            for stream in streams(self.dataset, settings, seed):
                for row in self._figures(stream, settings, seed):
                    rows.add(row)
        return rows.all()

    @property
    def _ours(self) -> bool:
        return self.part in (LIQUID, NO_DETECTOR)

    def _seeds(self, settings: Settings) -> int:
        """Baselines draw no weights: on a real stream each seed gives the same. River's take too long for more."""
        made = self.dataset in MAKERS
        return settings.seeds if self._ours or (made and self.part == BASELINES) else 1

    def _figures(self, stream: Stream, settings: Settings, seed: int) -> Iterator[Row]:
        if self._ours:
            learner = settings.learner
            if self.part == NO_DETECTOR:
                learner = msgspec.structs.replace(learner, drift=NoDriftSpec())
            for horizon in stream.horizons or (None,):
                spec = models.model_spec(stream, learner, horizon)
                run = run_liquid(stream.series, spec, engine=settings.engine, seed=seed)
                for track in run.tracks:
                    yield from scored(self.dataset, stream, track, self.part)
                if stream.windows is not None:
                    yield from _area(self.dataset, stream, run.anomaly, self.part)
        elif self.part == BASELINES:
            for track in models.baseline_tracks(stream):
                yield from scored(self.dataset, stream, track, track.model)
            if stream.windows is not None:
                yield from _area(self.dataset, stream, models.z_scores(stream), models.Z_SCORE)
        elif self.part == models.HALF_SPACE_TREES:
            yield from _area(self.dataset, stream, models.half_space_trees(stream), self.part)
        else:
            for track in models.river_tracks(stream, self.part):
                yield from scored(self.dataset, stream, track, track.model)


#: Rows of a job, or why there are none.
Outcome = list[Row] | str
#: What stands in an outcome that is a fault, and not data that are not there.
FAILED = " failed: "


def run(job: Job, settings: Settings) -> Outcome:
    """One job, in whatever process; a job that fails does not take the others with it."""
    torch.set_num_threads(1)
    try:
        return job.run(settings)
    except MissingDataError as error:
        return f"{job.dataset} was left out: {error}."
    except Exception as error:  # all else of the run is worth having
        return f"{job.name}{FAILED}{type(error).__name__}: {error}"


def plan(datasets: Sequence[str], settings: Settings, river: bool = True) -> list[Job]:
    """All jobs, what is ours and what is fast first; river's only if wanted."""
    jobs = [Job(name, part) for name in datasets for part in (LIQUID, BASELINES)]
    jobs += [Job(name, NO_DETECTOR) for name in datasets if name in ("concepts", "changes")]
    if river and not settings.quick:
        jobs += [Job(name, peer) for name in datasets for peer in models.RIVER.get(name, ())]
    return jobs


def streams(dataset: str, settings: Settings, seed: int) -> list[Stream]:
    """The streams of a data set; those made by formula differ by the seed."""
    if dataset in MAKERS:
        made = MAKERS[dataset](seed, settings.quick)
        return [_cut(stream, settings) for stream in made]
    return [_cut(stream, settings) for stream in _loaded(dataset, settings.data)]


@lru_cache(maxsize=1)
def _loaded(dataset: str, data: Path) -> list[Stream]:
    return LOADERS[dataset](data)


def _cut(stream: Stream, settings: Settings) -> Stream:
    count = int(settings.share * len(stream.series))
    return stream.first(min(count, QUICK_ROWS) if settings.quick else count)


# --- scoring ---------------------------------------------------------------------------------------------------------


def scored(dataset: str, stream: Stream, track: Track, model: str) -> Iterator[Row]:
    """A track's rows: of all rows that count, then of each part of the stream.

    Those values count for which something was known when they were predicted, so that all models face the same ones.
    """
    known = _something_known(stream, track.horizon)
    # Of a stream with anomalies the forecast is scored too.
    metric = stream.metric if stream.metric != "auc" else "mae"
    for part, mask in {"": None, **stream.parts}.items():
        counts = known if mask is None else known & mask[:, None]
        found = score(stream.series, track, stream.normalise_by, stream.rows, counts=counts)
        value, covered = found[metric], found.get("coverage")
        if value is None:
            continue
        yield Row(
            dataset=dataset,
            stream=stream.name,
            horizon=track.horizon,
            part=part,
            model=model,
            metric=metric,
            values=[float(value)],
            coverage=[] if covered is None else [float(covered)],
            count=int(found["count"] or 0),
        )


def _something_known(stream: Stream, horizon: int | None) -> Mask:
    said: Mask = np.isfinite(persistence(stream.series, horizon).prediction)
    if stream.series.classes:
        return np.asarray(said.all(axis=1, keepdims=True), dtype=np.bool_)
    return said


def _area(dataset: str, stream: Stream, scores: Floats, model: str) -> Iterator[Row]:
    """How well a score tells rows in the labelled windows from others; nothing said counts as no alarm."""
    assert stream.windows is not None
    told = np.nan_to_num(scores)
    area = auc(np.stack([-told, told], axis=1), stream.windows.astype(np.int64))
    if area is not None:
        yield Row(
            dataset=dataset,
            stream=stream.name,
            horizon=None,
            part="anomaly",
            model=model,
            metric="auc",
            values=[area],
            count=len(told),
        )


@lru_cache
def _digest(source: str) -> str:
    """Of a file, or of the sources in a folder."""
    digest = hashlib.sha256()
    for path in sorted([ROOT / source, *(ROOT / source).rglob("*")]):
        if path.suffix in (".py", ".h", ".cpp", ".so"):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


__all__ = ["BASELINES", "DATASETS", "FAILED", "Job", "Outcome", "Settings", "plan", "run", "scored", "streams"]
