"""The service under more than it can do: what becomes of those whom it takes, of those whom it refuses, and of memory.

    make bench-overload
    python -m benchmarks.overload [--quick] [--json FILE]

A real server with its embedded store, on the machine and the processors of those who call it. Single samples
go over HTTP, a request each, to streams of the default model:

1. *capacity*: as many as are answered when 24 requests are always under way;
2. *normal*: half of that, on a schedule that does not wait for answers (`benchmarks/traffic.py`);
3. *overload*: twice the capacity. Who is answered should hardly notice: the aim is a 99th percentile of less than four
   times the normal one. The others should hear 429 or 503 and when to come back, and memory should stay as it is;
4. *polite*: 50 streams that send two samples a second each, alone;
5. *with greedy*: the same while another process sends twice the capacity to a single stream.

A sample's time runs from the moment when it was due. The run takes four minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import multiprocessing
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.traffic import Tally, closed_loop, open_loop
from service.child_server import ChildServer

SPEC = {"task": "forecast", "features": ["value"], "late": "clamp"}
STREAMS = 200
POLITE = 50
POLITE_PER_SECOND = 2.0
AT_A_TIME = 24
#: What the 99th percentile may be under overload, in units of the normal one.
AIM = 4.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds of each phase."""

    capacity_s: float
    normal_s: float
    overload_s: float
    polite_s: float
    #: Between two phases.
    rest_s: float = 2.0


PLANS = {"quick": Plan(4.0, 8.0, 15.0, 10.0), "thorough": Plan(10.0, 30.0, 120.0, 30.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a group of streams experienced in one phase."""

    phase: str
    streams: int
    offered_per_s: float
    answered_per_s: float
    p50_ms: float
    p99_ms: float
    refused_429: int
    refused_503: int
    #: Refusals of these two kinds that did not say when to come back, and answers with any other status.
    without_retry_after: int
    other_statuses: int
    #: Requests that got no answer at all.
    lost: int
    #: Resident memory of the server before the phase, and the most during it.
    mib_before: float
    mib_peak: float


@dataclass(slots=True)
class Report:
    """A whole run."""

    machine: dict[str, Any]
    capacity_per_s: float = 0.0
    rows: list[Row] = field(default_factory=list)

    def ratio(self, phase: str, to: str) -> float:
        """The 99th percentile of one phase in units of another's."""
        p99 = {row.phase: row.p99_ms for row in self.rows}
        return p99[phase] / p99[to]

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    def show(self, console: Console) -> None:
        """As a table."""
        machine = self.machine
        console.print(f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']} before")
        console.print(f"capacity: {self.capacity_per_s:,.0f} samples a second, one a request", highlight=False)
        table = Table(title="Single samples over HTTP", title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("phase")
        for heading in (
            "streams",
            "offered / s",
            "answered / s",
            "p50 ms",
            "p99 ms",
            "429",
            "503",
            "other",
            "lost",
            "MiB",
        ):
            table.add_column(heading, justify="right")
        for row in self.rows:
            table.add_row(
                row.phase,
                str(row.streams),
                f"{row.offered_per_s:,.0f}",
                f"{row.answered_per_s:,.0f}",
                f"{row.p50_ms:.1f}",
                f"{row.p99_ms:.1f}",
                f"{row.refused_429:,}",
                f"{row.refused_503:,}",
                f"{row.other_statuses + row.without_retry_after:,}",
                f"{row.lost:,}",
                f"{row.mib_before:.0f} to {row.mib_peak:.0f}",
            )
        console.print(table)
        overload, beside = self.ratio("overload", "normal"), self.ratio("with greedy", "polite")
        console.print(
            f"p99 under overload: {overload:.1f} times the normal one (aim: less than {AIM:.0f}); of polite streams "
            f"beside a greedy one: {beside:.1f} times as alone",
            highlight=False,
        )


def measure(plan: Plan, say: Any) -> Report:
    """Run all phases against a fresh server."""
    report = Report(machine.describe())
    with tempfile.TemporaryDirectory(prefix="liquidstream-") as directory, ChildServer(Path(directory)) as server:
        asyncio.run(_phases(server, plan, report, say))
    return report


async def _phases(server: ChildServer, plan: Plan, report: Report, say: Any) -> None:
    address = server.url.removeprefix("http://")
    many = [f"stream-{number}" for number in range(STREAMS)]
    polite = [f"polite-{number}" for number in range(POLITE)]
    say("creating the streams")
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        for name in (*many, *polite, "greedy"):
            (await http.put(f"/v1/streams/{name}", json=SPEC)).raise_for_status()

    say("capacity")
    report.capacity_per_s = await closed_loop(address, many, AT_A_TIME, plan.capacity_s)
    half, twice = report.capacity_per_s / 2, report.capacity_per_s * 2

    async def phase(name: str, streams: Sequence[str], per_s: float, seconds: float, beside: Awaitable[Any]) -> None:
        say(name)
        async with _watched(server.pid) as mib:
            tally, _ = await asyncio.gather(open_loop(address, streams, per_s, seconds), beside)
        report.rows.append(_row(name, len(streams), per_s, seconds, tally, mib))
        await asyncio.sleep(plan.rest_s)

    await phase("normal", many, half, plan.normal_s, _nothing())
    await phase("overload", many, twice, plan.overload_s, _nothing())
    rate = POLITE * POLITE_PER_SECOND
    await phase("polite", polite, rate, plan.polite_s, _nothing())
    await phase("with greedy", polite, rate, plan.polite_s, _greedy(address, twice, plan.polite_s))


async def _greedy(address: str, per_s: float, seconds: float) -> None:
    """From a process of its own: how busy it is must not count as time that the polite ones wait."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, _send_greedily, address, per_s, seconds)


def _send_greedily(address: str, per_s: float, seconds: float) -> None:
    asyncio.run(open_loop(address, ["greedy"], per_s, seconds))


async def _nothing() -> None: ...


def _row(phase: str, streams: int, per_s: float, seconds: float, tally: Tally, mib: list[float]) -> Row:
    return Row(
        phase=phase,
        streams=streams,
        offered_per_s=per_s,
        answered_per_s=len(tally.seconds) / seconds,
        p50_ms=tally.quantile_ms(0.5),
        p99_ms=tally.quantile_ms(0.99),
        refused_429=tally.refused[429],
        refused_503=tally.refused[503],
        without_retry_after=tally.without_retry_after,
        other_statuses=sum(count for status, count in tally.refused.items() if status not in (429, 503)),
        lost=tally.lost,
        mib_before=mib[0],
        mib_peak=max(mib),
    )


@asynccontextmanager
async def _watched(pid: int) -> AsyncIterator[list[float]]:
    """The process's resident memory in MiB, at the start and every second."""
    seen = [resident_mib(pid)]

    async def watch() -> None:
        while True:
            await asyncio.sleep(1.0)
            seen.append(await asyncio.to_thread(resident_mib, pid))

    task = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        task.cancel()


def resident_mib(pid: int) -> float:
    """Resident memory of a process in MiB, asked of `ps`, which Linux and macOS have."""
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)])) / 1024


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="in less than a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    chosen = parser.parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console.width = 120
    with Console(stderr=True).status("") as status:
        report = measure(PLANS["quick" if chosen.quick else "thorough"], status.update)
    report.show(console)
    if chosen.json is not None:
        report.write(chosen.json)


if __name__ == "__main__":
    main()
