"""The store: records, hydrations, snapshots and tails a second, on an embedded server.

    make bench-store
    python -m benchmarks.store [--quick] [--json FILE]

The server is the one that `liquidstream serve` starts where no other is configured: on a unix socket, with its file on
a disk of this machine; once with `appendfsync everysec` and once with `always`. Client and server share the cores.

One call comes after another, as the pipeline makes them. A micro-batch has 256 records of eight values, one of each of
256 streams or eight of each of 32. Beside it are the same records in as many bare RPUSH, pipelined by redis-py, with no
owner, order or repetition to look after. Streams are read with a snapshot of 150 kB, about what the largest model of
`make bench-engine` has, and 32 records after it. Calls are made ready before the clock starts, and their answers are
checked after it has stopped. `a second` is by the median of the calls.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import structlog
from redis.asyncio import Redis
from rich.console import Console

from benchmarks import machine
from benchmarks.store_load import Kind, Load
from benchmarks.store_report import Report, Row
from service.store import EmbeddedStore, StreamStore

SYNCS = ("everysec", "always")
_WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """How thoroughly to measure."""

    streams: int
    #: Of these so many have a snapshot.
    with_snapshot: int
    #: Calls of each kind.
    calls: int


PLANS = {
    "thorough": Plan(streams=4000, with_snapshot=256, calls=1000),
    "quick": Plan(streams=2000, with_snapshot=64, calls=200),
}


async def measure(plan: Plan, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Run everything; `progress` is told what is being measured."""
    report = Report(machine.describe())
    for sync in SYNCS:
        with tempfile.TemporaryDirectory(prefix="liquid-") as folder:
            embedded = EmbeddedStore(Path(folder))
            try:
                url = await embedded.start()
                async with Redis.from_url(url) as server:
                    await server.config_set("appendfsync", sync)
                    await _measure(url, server, sync, plan, report, progress)
            finally:
                await embedded.stop()
    return report


async def _measure(
    url: str, server: Redis, sync: str, plan: Plan, report: Report, progress: Callable[[str], None]
) -> None:
    store = await StreamStore.connect(url, timeout_s=30.0)
    try:
        health = await store.self_check()
        report.server = f"{health.server} {health.version}"
        await store.acquire(range(store.num_shards), lease_s=3600.0)
        load = await Load.create(store, server, streams=plan.streams, with_snapshot=plan.with_snapshot)
        for kind in load.kinds():
            progress(f"{kind.name}, {sync}")
            report.rows.append(_row(kind, sync, await _seconds(kind, plan.calls)))
    finally:
        await store.close()


async def _seconds(kind: Kind, calls: int) -> list[float]:
    """Seconds of each call, without the first few and without the garbage collector."""
    seconds = []
    for _ in range(_WARM_UP + calls):
        call = next(kind.calls)
        gc.disable()
        try:
            start = perf_counter()
            answer = await call()
            seconds.append(perf_counter() - start)
        finally:
            gc.enable()
        if not all(map(kind.is_right, answer)):
            raise RuntimeError(f"{kind.name} did not do what is to be measured: {answer[:3]}")
    return seconds[_WARM_UP:]


def _row(kind: Kind, sync: str, seconds: list[float]) -> Row:
    median = statistics.median(seconds)
    return Row(
        call=kind.name,
        appendfsync=sync,
        unit=kind.unit,
        units_per_call=kind.size,
        units_per_s=kind.size / median,
        p50_ms=1e3 * median,
        p99_ms=1e3 * sorted(seconds)[int(0.99 * len(seconds))],
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="within half a minute: fewer streams, fewer calls")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    chosen = parser.parse_args(arguments)

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    console = Console()
    if not console.is_terminal:
        console.width = 120  # a file has no edge that a table must keep to
    with Console(stderr=True).status("") as status:
        report = asyncio.run(measure(PLANS["quick" if chosen.quick else "thorough"], status.update))
    report.show(console)
    if chosen.json is not None:
        report.write(chosen.json)


if __name__ == "__main__":
    main()
