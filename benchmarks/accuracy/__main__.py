"""How well the default model learns, on real and synthetic streams, beside its peers.

    make bench-accuracy ARGS="--data DIR --json FILE"
    python -m benchmarks.accuracy [--data DIR] [--only wth,ett] [--quick] [--seeds 5] [--no-river] [--json FILE]
    python -m benchmarks.accuracy --search [--trials 30] [--space FILE] [--json FILE]

Every model predicts before it learns, and learns a target no sooner than it is known: a forecast's at its own row, a
label when it is delivered. All of a stream counts from its first row on, but for WTH and ETTh1, whose published
protocol scores the test rows in units of the training rows' spread. The streams lie in folders below `--data`, as
their publishers give them; what is not there is skipped and said. `liquid` is the model that a user gets who names
features and targets, and nothing else; where seeds differ, the median over them is told.

With `--json FILE` each job's rows are written as soon as it is done. A run that was cut goes on from there, and a
later one only repeats what depends on code or settings that have changed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import torch
from rich.console import Console

from benchmarks import machine
from benchmarks.accuracy.jobs import DATASETS, FAILED, Job, Outcome, Settings, plan, run
from benchmarks.accuracy.report import Report, line
from benchmarks.accuracy.rows import Row
from benchmarks.accuracy.search import SPACE, TRIALS, learner_with, run_search
from liquid_core.errors import SpecError
from liquid_core.spec import LearnerSpec


def outcomes(jobs: Sequence[Job], settings: Settings, processes: int) -> Iterator[tuple[Job, Outcome]]:
    """Jobs with what came of them, as they are done."""
    if processes == 1:
        for job in jobs:
            yield job, run(job, settings)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        told: dict[Future[Outcome], Job] = {pool.submit(run, job, settings): job for job in jobs}
        for future in as_completed(told):
            job = told[future]
            try:
                yield job, future.result()
            except BrokenProcessPool:
                yield job, f"{job.name}{FAILED}a process died."


def evaluate(jobs: Sequence[Job], settings: Settings, processes: int, console: Console, path: Path | None) -> Report:
    """Run the jobs that `path` does not hold yet, telling and writing each."""
    report = Report(
        machine.describe(),
        {
            "seeds": settings.seeds,
            "quick": settings.quick,
            "learner": json.loads(msgspec.json.encode(settings.learner)),
            "engine": settings.engine,
        },
    )
    fingerprints = {job.name: job.fingerprint(settings) for job in jobs}
    if path is not None:
        report.take_over(path, fingerprints)
    for rows in report.jobs.values():
        _tell(console, rows)
    left = [job for job in jobs if job.name not in report.jobs]
    for job, outcome in outcomes(left, settings, processes):
        if isinstance(outcome, str):
            report.note(outcome)
            report.failed |= FAILED in outcome
            console.print(f"- {outcome}", markup=False)
            continue
        report.jobs[job.name] = outcome
        report.fingerprints[job.name] = fingerprints[job.name]
        _tell(console, outcome)
        if path is not None:
            report.write(path)
    return report


def _tell(console: Console, rows: Sequence[Row]) -> None:
    for row in rows:
        console.print(line(row), markup=False, highlight=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), metavar="DIR", help="where the streams lie"
    )
    parser.add_argument("--only", type=_datasets, default=list(DATASETS), help=f"of {', '.join(DATASETS)}; all of them")
    parser.add_argument("--quick", action="store_true", help="the first 6000 rows, one seed, without river's models")
    parser.add_argument("--seeds", type=int, help="of the weights and of what is made by formula; 5, or 1 if quick")
    parser.add_argument("--no-river", action="store_true", help="without river's models, which take the longest")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there, and go on from it")
    parser.add_argument("--jobs", type=int, default=1, help="processes that work side by side")
    parser.add_argument("--engine", choices=("auto", "native", "torch"), default="auto")
    parser.add_argument("--learner", type=_learner, default=LearnerSpec(), metavar="JSON", help="other settings to try")
    parser.add_argument("--search", action="store_true", help="rank settings of the learner on the streams' first part")
    parser.add_argument("--trials", type=int, default=TRIALS, help="settings that the search draws")
    parser.add_argument("--space", type=_space, default=SPACE, metavar="FILE", help="values by setting, as JSON")
    chosen = parser.parse_args(arguments)

    console = Console()
    if not console.is_terminal:
        console.width = 140  # a file has no edge that a table must keep to
    seeds = chosen.seeds if chosen.seeds is not None else (1 if chosen.quick or chosen.search else 5)
    settings = Settings(chosen.data, seeds, chosen.quick, chosen.learner, chosen.engine)
    torch.set_num_threads(1)
    if chosen.search:
        # Areas under a curve have no persistence to be held against; the others do.
        datasets = [name for name in chosen.only if name not in ("nab", "changes", "plasticity", "walk")]
        run_search(datasets, replace(settings, quick=False), chosen.space, chosen.trials, console, chosen.json)
        return
    report = evaluate(plan(chosen.only, settings, not chosen.no_river), settings, chosen.jobs, console, chosen.json)
    report.show(console)
    if chosen.json is not None:
        report.write(chosen.json)
    if report.failed:
        raise SystemExit(1)


def _datasets(text: str) -> list[str]:
    chosen = ["etth1" if name == "ett" else name for name in text.split(",")]
    unknown = sorted(set(chosen) - set(DATASETS))
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is not among {', '.join(DATASETS)}.")
    return chosen


def _learner(text: str) -> LearnerSpec:
    try:
        return learner_with(LearnerSpec(), json.loads(text))
    except (ValueError, SpecError) as error:
        raise argparse.ArgumentTypeError(f"not a learner's settings: {error}") from error


def _space(text: str) -> dict[str, list[Any]]:
    try:
        return msgspec.json.decode(Path(text).read_bytes(), type=dict[str, list[Any]])
    except (OSError, msgspec.MsgspecError) as error:
        raise argparse.ArgumentTypeError(f"{text} holds no lists of values by setting: {error}") from error


if __name__ == "__main__":
    main()
