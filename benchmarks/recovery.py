"""Recovery and memory: how soon a killed server serves again, and how many streams a bounded memory serves.

    make bench-recovery
    python -m benchmarks.recovery [--quick] [--models default,small] [--parts restart,crowd,cycle] [--json FILE]

A real server with its embedded store, which syncs every write, on this machine, and this client beside it.

*restart*: streams with records that no snapshot holds; the server and its store are killed (SIGKILL) and started again.
Measured from the start of the process: until it is ready, until the first sample is answered, and until all streams are
in memory, their records replayed. Meanwhile samples go to streams chosen at random, one at a time: how long their
answers take.

*crowd*: many more streams than the memory given (`--memory`) holds, created by a request each, and then touched with a
sample each in random order, 256 of them in a body: streams a second, and the memory of the server and of the store.

*cycle*: what it costs that a stream leaves memory and another one comes: streams with a snapshot and a short log, twice
as many as fit, touched one after the other, so that each touch is a miss. Beside it the same touches where all fit.

Models: *default* is the default spec with two features and horizons 1 and 24; *small* has a cell of 8 units and a short
window and season, for fleets of that size.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from service.child_server import ChildServer
from service.memory import parse_size

SPECS: dict[str, dict[str, Any]] = {
    "default": {"task": "forecast", "features": ["flow", "pressure"], "horizon": [1, 24]},
    "small": {
        "task": "forecast",
        "features": ["flow"],
        "horizon": [1],
        "cell": {"kind": "cfc", "units": 8, "backbone_units": 8},
        "learner": {"window": 8, "season_window": 64},
    },
}
#: Lines of one body: a client that reads only after it has written may send no more.
LINES = 256
#: Bodies, or creations, on their way at a time.
LANES = 16
PARTS = ("restart", "crowd", "cycle")


@dataclass(frozen=True, slots=True)
class Plan:
    """How large everything is."""

    restart_streams: int
    #: Records of each stream that no snapshot holds.
    restart_records: int
    crowd_streams: int
    cycle_touches: int
    memory: str


THOROUGH = Plan(restart_streams=10_000, restart_records=32, crowd_streams=100_000, cycle_touches=2000, memory="2GB")
QUICK = Plan(restart_streams=500, restart_records=32, crowd_streams=2000, cycle_touches=300, memory="64MB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A server that was killed, and is started again."""

    model: str
    streams: int
    records: int
    ready_s: float
    first_answer_s: float
    warm_s: float
    #: The server's own time for it, on whatever processors: what a busy machine does not stretch.
    server_cpu_s: float
    #: Answers to samples that came while streams were brought in.
    answers: int
    answer_p50_ms: float
    answer_p99_ms: float
    server_mb: float
    store_mb: float
    stream_kb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """More streams than fit into memory."""

    model: str
    streams: int
    memory_mb: float
    created_per_s: float
    touched_per_s: float
    evictions: int
    hydrations: int
    #: Of the server's process, before the first stream, at most, and after the last touch.
    empty_mb: float
    peak_mb: float
    end_mb: float
    store_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """A touch that finds its stream in memory, and one that does not."""

    model: str
    records: int
    hit_ms: float
    miss_ms: float


@dataclass(slots=True)
class Report:
    """A whole run."""

    machine: dict[str, Any]
    restarts: list[Restart] = field(default_factory=list)
    crowds: list[Crowd] = field(default_factory=list)
    cycles: list[Cycle] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    def show(self, console: Console) -> None:
        """As tables."""
        facts = self.machine
        console.print(f"{facts['cpu']}, {facts['cores']} cores, load {facts['load']} before; python {facts['python']}")
        for title, rows in (
            ("Killed and started again", self.restarts),
            ("More streams than fit into memory", self.crowds),
            ("A touch that finds its stream in memory, and one that does not", self.cycles),
        ):
            if rows:
                console.print(_table(title, rows))


def _table(title: str, rows: Sequence[Any]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    names = list(asdict(rows[0]))
    for name in names:
        table.add_column(name.replace("_", " "), justify="left" if name == "model" else "right")
    for row in rows:
        table.add_row(*(_cell(value) for value in asdict(row).values()))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


# --- the client ------------------------------------------------------------------------------------------------------


class Fleet:
    """Streams of one model on one server, and how far each has come."""

    def __init__(self, server: ChildServer, model: str, count: int) -> None:
        self._server = server
        self._spec = SPECS[model]
        self.ids = [f"{model}-{number:06}" for number in range(count)]
        self._sent = dict.fromkeys(self.ids, 0)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Talks to the server as long as it lives."""
        limits = httpx.Limits(max_connections=2 * LANES)
        async with httpx.AsyncClient(base_url=self._server.url, timeout=120, limits=limits) as client:
            yield client

    async def create(self, client: httpx.AsyncClient) -> None:
        """Make the streams."""

        async def one(stream_id: str) -> None:
            (await client.put(f"/v1/streams/{stream_id}", json=self._spec)).raise_for_status()

        await _in_lanes(one, self.ids)

    async def touch(self, client: httpx.AsyncClient, stream_id: str) -> float:
        """Send a stream its next sample; seconds until the answer."""
        sample, started = self._next(stream_id), time.perf_counter()
        while True:
            answer = await client.post(f"/v1/streams/{stream_id}/samples", json=sample)
            if answer.status_code != 503:
                answer.raise_for_status()
                return time.perf_counter() - started
            await asyncio.sleep(0.01)

    async def feed(self, client: httpx.AsyncClient, ids: Sequence[str], records: int) -> None:
        """Send each of these streams so many samples, in bodies of many lines."""
        together = max(1, LINES // records)

        async def one(some: Sequence[str]) -> None:
            lines = [{"stream": each, **self._next(each)} for _ in range(records) for each in some]
            for start in range(0, len(lines), LINES):
                await _ingest(client, lines[start : start + LINES])

        await _in_lanes(one, [ids[start : start + together] for start in range(0, len(ids), together)])

    def _next(self, stream_id: str) -> dict[str, Any]:
        self._sent[stream_id] += 1
        seq = self._sent[stream_id]
        x = [math.sin(seq / 5 + column) + hash(stream_id) % 7 for column in range(len(self._spec["features"]))]
        return {"seq": seq, "t": 1.7e9 + 60.0 * seq, "x": x}

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric's values."""
        text = httpx.get(f"{self._server.url}/metrics", timeout=30).text
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = [line for line in text.splitlines() if line.startswith((f"liquid_{name} ", f"liquid_{name}{{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if all(each in line for each in wanted))


async def _ingest(client: httpx.AsyncClient, lines: Sequence[dict[str, Any]]) -> None:
    body = "".join(json.dumps(line) + "\n" for line in lines)
    answer = await client.post("/v1/ingest", content=body, headers={"content-type": "application/x-ndjson"})
    answer.raise_for_status()
    nacks = [line for line in answer.text.splitlines() if '"result"' not in line[:40]]
    if nacks:
        raise RuntimeError(f"the server refused what it should take: {nacks[0]}")


async def _in_lanes(work: Callable[[Any], Any], items: Iterable[Any]) -> None:
    """Work on the items, a few at a time."""
    left: Iterator[Any] = iter(items)

    async def lane() -> None:
        for item in left:
            await work(item)

    await asyncio.gather(*(lane() for _ in range(LANES)))


def resident_mb(pid: int) -> float:
    """Memory of a process; 0 where the system does not tell."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0


def cpu_s(pid: int) -> float:
    """Processor time that a process has taken; 0 where the system does not tell."""
    with suppress(OSError):
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return 0.0


def store_mb(server: ChildServer) -> float:
    """Memory of the server's store, which is its only child."""
    lists = Path(f"/proc/{server.pid}/task").glob("*/children")
    return sum(resident_mb(int(child)) for children in lists for child in children.read_text().split())


# --- the parts -------------------------------------------------------------------------------------------------------


async def restart(directory: Path, model: str, plan: Plan, progress: Callable[[str], None]) -> Restart:
    """Kill a server with dirty logs, and start it again."""
    count, records = plan.restart_streams, plan.restart_records
    # Room for all, as the question is how long it takes until all are in memory; and no snapshot for being idle.
    server = ChildServer(directory, {"LIQUID_MEMORY": "12GB", "LIQUID_SNAPSHOT_IDLE_S": "86400"})
    fleet = Fleet(server, model, count)
    server.start()
    try:
        progress(f"restart, {model}: {count:,} streams of {records} records")
        async with fleet.client() as client:
            await fleet.create(client)
            await fleet.feed(client, fleet.ids, records)
            info = (await client.get(f"/v1/streams/{fleet.ids[0]}")).json()
        server.kill()
        progress(f"restart, {model}: started again")
        started = time.perf_counter()
        starting = asyncio.create_task(asyncio.to_thread(server.start))
        async with fleet.client() as client:
            ready, first_answer = await _first_answer(client, fleet, started)
            waits, warm = await _touch_until_warm(client, fleet, started)
            cpu = cpu_s(server.pid)
        await starting
        return Restart(
            model=model,
            streams=count,
            records=records,
            ready_s=ready,
            first_answer_s=first_answer,
            warm_s=warm,
            server_cpu_s=cpu,
            answers=len(waits),
            answer_p50_ms=1000 * _quantile(waits, 0.5),
            answer_p99_ms=1000 * _quantile(waits, 0.99),
            server_mb=resident_mb(server.pid),
            store_mb=store_mb(server),
            stream_kb=info["state_bytes"] / 1e3,
        )
    finally:
        server.stop()


async def _first_answer(client: httpx.AsyncClient, fleet: Fleet, started: float) -> tuple[float, float]:
    """Seconds until the server was ready, and until it had answered a sample."""
    while True:
        with suppress(httpx.TransportError):  # it does not listen yet
            if (await client.get("/readyz")).status_code == 200:
                break
        await asyncio.sleep(0.01)
    ready = time.perf_counter() - started
    await fleet.touch(client, fleet.ids[-1])
    return ready, time.perf_counter() - started


async def _touch_until_warm(client: httpx.AsyncClient, fleet: Fleet, started: float) -> tuple[list[float], float]:
    """Touch streams at random until all are in memory; how long each answer took, and when they were."""
    chosen, waits = random.Random(7), list[float]()
    while True:
        waits.append(await fleet.touch(client, chosen.choice(fleet.ids)))
        await asyncio.sleep(0.02)
        if len(waits) % 10 == 0:
            hydrated = await asyncio.to_thread(fleet.metric, "hydrations_total")
            if hydrated >= len(fleet.ids):
                return waits, time.perf_counter() - started


async def crowd(directory: Path, model: str, plan: Plan, progress: Callable[[str], None]) -> Crowd:
    """Create and touch far more streams than memory holds."""
    server = ChildServer(directory, {"LIQUID_MEMORY": plan.memory})
    fleet = Fleet(server, model, plan.crowd_streams)
    with server:
        empty = resident_mb(server.pid)
        peak = Peak(server)
        watching = asyncio.create_task(peak.watch())
        async with fleet.client() as client:
            progress(f"crowd, {model}: {len(fleet.ids):,} streams are created, {plan.memory} for them")
            started = time.perf_counter()
            await fleet.create(client)
            created = time.perf_counter()
            progress(f"crowd, {model}: {len(fleet.ids):,} streams are touched")
            order = random.Random(7).sample(fleet.ids, len(fleet.ids))
            await fleet.feed(client, order, 1)
            touched = time.perf_counter()
        watching.cancel()
        return Crowd(
            model=model,
            streams=len(fleet.ids),
            memory_mb=parse_size(plan.memory) / 1e6,
            created_per_s=len(fleet.ids) / (created - started),
            touched_per_s=len(fleet.ids) / (touched - created),
            evictions=int(fleet.metric("evictions_total")),
            hydrations=int(fleet.metric("hydrations_total")),
            empty_mb=empty,
            peak_mb=max(peak.mb, resident_mb(server.pid)),
            end_mb=resident_mb(server.pid),
            store_mb=store_mb(server),
        )


class Peak:
    """The most memory that a server has had, as far as somebody looked."""

    def __init__(self, server: ChildServer) -> None:
        self._server = server
        self.mb = 0.0

    async def watch(self) -> None:
        while True:
            self.mb = max(self.mb, resident_mb(self._server.pid))
            await asyncio.sleep(0.25)


async def cycle(directory: Path, model: str, plan: Plan, progress: Callable[[str], None]) -> Cycle:
    """Touch twice as many streams as fit, in turn, and then half as many."""
    records = 70  # one snapshot, and a few records behind it
    server = ChildServer(directory, {"LIQUID_MEMORY": "64MB"})
    with server:
        probe = Fleet(server, model, 1)
        async with probe.client() as client:
            await probe.create(client)
            info = (await client.get(f"/v1/streams/{probe.ids[0]}")).json()
            fit = parse_size("64MB") // info["state_bytes"]
            fleet = Fleet(server, model, 2 * fit)
            progress(f"cycle, {model}: {len(fleet.ids):,} streams, of which {fit:,} fit")
            await fleet.create(client)
            await fleet.feed(client, fleet.ids, records)
            miss = [await fleet.touch(client, fleet.ids[n % len(fleet.ids)]) for n in range(plan.cycle_touches)]
            few = fleet.ids[: fit // 4]
            for stream_id in few:
                await fleet.touch(client, stream_id)
            hit = [await fleet.touch(client, few[n % len(few)]) for n in range(plan.cycle_touches)]
    return Cycle(model=model, records=records, hit_ms=1000 * _quantile(hit, 0.5), miss_ms=1000 * _quantile(miss, 0.5))


def _quantile(values: Sequence[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def measure(
    models: Sequence[str], parts: Sequence[str], plan: Plan, progress: Callable[[str], None] = lambda _: None
) -> Report:
    """Run everything; `progress` is told what is being done."""
    report = Report(machine.describe())
    for model in models:
        for part, run, rows in (
            ("restart", restart, report.restarts),
            ("crowd", crowd, report.crowds),
            ("cycle", cycle, report.cycles),
        ):
            if part in parts:
                with tempfile.TemporaryDirectory(prefix="liquid-bench-") as directory:
                    rows.append(asyncio.run(run(Path(directory), model, plan, progress)))  # type: ignore[arg-type]
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="within two minutes: fewer streams, less memory")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--models", type=_among(SPECS), default=list(SPECS), help=f"of {', '.join(SPECS)}; all of them")
    parser.add_argument("--parts", type=_among(PARTS), default=list(PARTS), help=f"of {', '.join(PARTS)}; all of them")
    chosen = parser.parse_args(arguments)

    console = Console()
    if not console.is_terminal:
        console.width = 160  # a file has no edge that a table must keep to
    with Console(stderr=True).status("") as status:
        report = measure(chosen.models, chosen.parts, QUICK if chosen.quick else THOROUGH, status.update)
    report.show(console)
    if chosen.json is not None:
        report.write(chosen.json)


def _among(known: Iterable[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        chosen = text.split(",")
        unknown = sorted(set(chosen) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is not among {', '.join(known)}.")
        return chosen

    return names


if __name__ == "__main__":
    main()
