"""The engine beside its peers: microseconds for one sample, predicted and learned from, on one core.

    make bench-engine
    python -m benchmarks.engine [--quick] [--models M1,M3] [--engines native,ncps] [--streams 1,1024] [--json FILE]

Engines: ours, `native` (kernels) and `torch` (the reference); `ncps`, eager, one stream after another; `torch-batched`,
written by hand over many streams; `torch-vmap`, by `torch.func`; `deep-river`, where it is installed.

Every engine does the same on the same networks: a window of 16 samples, 9 inputs to the cell, one number predicted.
Nine inputs, because our cell sees each of a stream's three features in three ways (level, change, missing); the peers
get the same nine, ready made, while ours makes them from raw samples and also keeps scales, intervals, metrics and a
drift detector, all of which is in its time. Its readout, a normalised LMS on the cell's output and inputs, is a part
that the peers do not have; theirs is the network's own output. Deciding whether a record may be applied, and storing
it, is the service's and in nobody's time.

Figures are of one thread on one core, warmed up, the median of repeats. `times ncps` is how many times faster than
`ncps` with as many streams, or where that would take too long, with the nearest number that was measured. `of ceiling`
is the time that the arithmetic alone would take on this core (`benchmarks/floor.py`) by the time taken. The run
takes up to 6 GB of memory.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import machine
from benchmarks.contender import Contender, MissingPeerError
from benchmarks.floor import measured_ceiling, work_per_step
from benchmarks.models import MODELS, Model
from benchmarks.ours import OurStreams
from benchmarks.peers.deep_river import DeepRiverStreams
from benchmarks.peers.hand_batched import hand_batched
from benchmarks.peers.ncps_eager import NcpsStreams
from benchmarks.peers.vmapped import vmapped
from benchmarks.report import Pattern, Report, Row, compared_with_ncps
from benchmarks.timing import QUICK, THOROUGH, Budget, microseconds_per_step

#: By name, what builds it with so many streams of a model.
ENGINES: dict[str, Callable[[Model, int], Contender]] = {
    "native": lambda model, streams: OurStreams(model, "native", streams),
    "torch": lambda model, streams: OurStreams(model, "torch", streams),
    "ncps": NcpsStreams,
    "torch-batched": hand_batched,
    "torch-vmap": vmapped,
    "deep-river": DeepRiverStreams,
}
STREAMS = (1, 64, 1024, 10_000)


@dataclass(frozen=True, slots=True)
class Plan:
    """How thoroughly to measure."""

    budget: Budget
    #: The most streams that an engine is measured with; no limit where it is not named.
    limits: dict[str, int]
    #: Whether `ncps` is measured with the fewest and the most of its streams only.
    ends_only: bool = False

    def streams(self, engine: str, wanted: Sequence[int]) -> list[int]:
        """Numbers of streams to measure an engine with."""
        limit = self.limits.get(engine, max(wanted))
        fitting = {count for count in wanted if count <= limit}
        if engine == "ncps":
            # What everything is compared with: measured with as many streams as there is time for.
            many = min(max(wanted), limit)
            fitting = (fitting if not self.ends_only else {min(wanted)} & fitting) | {many}
        return sorted(fitting)


PLANS = {
    "thorough": Plan(THOROUGH, limits={"ncps": 1024, "deep-river": 64}),
    "quick": Plan(
        QUICK,
        limits={"torch": 64, "ncps": 64, "torch-batched": 1024, "torch-vmap": 1024, "deep-river": 1},
        ends_only=True,
    ),
}


def measure(
    models: Sequence[Model],
    engines: Sequence[str],
    streams: Sequence[int],
    plan: Plan,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run everything; `progress` is told what is being measured."""
    report = Report(machine.describe())
    with machine.one_core():
        ceiling = measured_ceiling(str(report.machine["isa"]))
        if ceiling is None:
            report.note("no ceiling: the native kernels, which measure this core, are not there.")
        else:
            report.machine |= {"fma_gflops": ceiling.fma_gflops, "sigmoid_ns": ceiling.sigmoid_ns}
        for model in models:
            floor = None if ceiling is None else ceiling.microseconds(work_per_step(model))
            for engine in engines:
                for count in plan.streams(engine, streams):
                    progress(f"{model.name} {engine}, {count:,} streams")
                    try:
                        contender = ENGINES[engine](model, count)
                    except MissingPeerError as error:
                        report.note(f"{engine} was left out: {error}")
                        break
                    report.rows.append(_row(model, engine, count, contender, floor, plan.budget))
    report.rows = compared_with_ncps(report.rows)
    for model in models:
        native = {
            row.streams: row.us_per_step for row in report.rows if (row.model, row.engine) == (model.name, "native")
        }
        if native:
            report.patterns += _patterns(model, native, plan.budget, report.note, progress)
    return report


def _row(model: Model, engine: str, streams: int, contender: Contender, floor: float | None, budget: Budget) -> Row:
    time = microseconds_per_step(contender, budget)
    return Row(
        model=model.name,
        engine=engine,
        streams=streams,
        us_per_step=time,
        steps_per_s_per_core=1e6 / time,
        ratio_to_ceiling=None if floor is None else floor / time,
        bytes_per_stream=contender.bytes_per_stream,
        num_params=contender.num_params,
    )


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A pattern in which samples come to the native engine."""

    name: str
    streams: int
    active: int | None = None
    burst: int = 1
    threads: int = 1
    #: Whether the threads may use all cores; else all is on one.
    all_cores: bool = False


PATTERNS = (
    Arrivals("one stream, 1,000 samples in one call", 1, burst=1000),
    Arrivals("one stream of 64, one sample", 64, active=1),
    Arrivals("10,000 streams, one sample each", 10_000),
    Arrivals("1,024 streams, one sample each, one thread", 1024, all_cores=True),
    Arrivals("1,024 streams, one sample each, two threads", 1024, threads=2, all_cores=True),
)


def _patterns(
    model: Model,
    measured: dict[int, float],
    budget: Budget,
    note: Callable[[str], None],
    progress: Callable[[str], None],
) -> list[Pattern]:
    """The native engine under every pattern that needs no more streams than it was measured with.

    `measured` are microseconds a step by the number of streams, one sample each; they are not measured again.
    """
    found: list[Pattern] = []
    for arrivals in PATTERNS:
        if arrivals.threads > (os.cpu_count() or 1):
            note(f"left out, for want of cores: {arrivals.name}.")
            continue
        if arrivals.streams > max(measured):
            continue
        if arrivals == Arrivals(arrivals.name, arrivals.streams) and arrivals.streams in measured:
            time = measured[arrivals.streams]
        else:
            progress(f"{model.name}: {arrivals.name}")
            with nullcontext() if arrivals.all_cores else machine.one_core():
                time = microseconds_per_step(
                    OurStreams(
                        model,
                        "native",
                        arrivals.streams,
                        active=arrivals.active,
                        burst=arrivals.burst,
                        threads=arrivals.threads,
                    ),
                    budget,
                )
        found.append(
            Pattern(
                model=model.name,
                engine="native",
                pattern=arrivals.name,
                streams=arrivals.streams,
                threads=arrivals.threads,
                us_per_step=time,
                steps_per_s_per_core=1e6 / time / arrivals.threads,
            )
        )
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="within two minutes: fewer repeats, peers on few streams")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--models", type=_among(MODELS), default=list(MODELS), help="of M1, M2, M3, M3s; all of them")
    parser.add_argument(
        "--engines", type=_among(ENGINES), default=list(ENGINES), help=f"of {', '.join(ENGINES)}; all of them"
    )
    parser.add_argument("--streams", type=_numbers, default=STREAMS, help="1,64,1024,10000")
    chosen = parser.parse_args(arguments)

    console = Console()
    if not console.is_terminal:
        console.width = 120  # a file has no edge that a table must keep to
    with Console(stderr=True).status("") as status:
        report = measure(
            [MODELS[name] for name in chosen.models],
            chosen.engines,
            chosen.streams,
            PLANS["quick" if chosen.quick else "thorough"],
            status.update,
        )
    report.show(console)
    if chosen.json is not None:
        report.write(chosen.json)


def _among(known: Mapping[str, object]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        chosen = text.split(",")
        unknown = sorted(set(chosen) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is not among {', '.join(known)}.")
        return chosen

    return names


def _numbers(text: str) -> list[int]:
    try:
        counts = sorted({int(part) for part in text.split(",")})
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 1,64.") from error
    if counts[0] < 1:
        raise argparse.ArgumentTypeError("a number of streams is at least 1.")
    return counts


if __name__ == "__main__":
    main()
