"""`liquidstream demo`: a real server, real data, all streams at once over one WebSocket, and a table at the end.

Every error shown is counted here, by the client, from answers that it had in hand before it knew the target: a stream
sends its next sample only after the last one's answer.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from liquidstream_client import AsyncClient, AsyncSession, Client, ProblemError
from service.child_server import ChildServer
from service.demo_streams import DemoStream, demo_streams
from service.report import Run, cell_name, final_table, number, ratio
from service.scoring import Scorer

_REFRESH_S = 0.25
_LINE_EVERY_S = 5.0


@dataclass(slots=True)
class Feed:
    """One stream on its way through the demo."""

    stream: DemoStream
    run: Run
    sent: int = 0
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def rate(self) -> float:
        """Samples a second so far."""
        elapsed = (self.ended or time.monotonic()) - self.started
        return self.sent / elapsed if elapsed > 0 else 0.0


def run_demo(console: Console, *, seconds: float = 100.0, limit: int | None = None, keep: bool = False) -> list[Run]:
    """Run the demo from start to end; with `keep` the server then stays until it is interrupted.

    Parameters
    ----------
    seconds
        Feeding stops after so long, wherever it is; 0: not before the data ends.
    limit
        At most so many samples of each stream.
    """
    streams = demo_streams(limit)
    with tempfile.TemporaryDirectory(prefix="liquidstream-") as directory:
        console.print("[bold]starting the server[/] on an embedded store in a temporary directory ...")
        with ChildServer(Path(directory)) as server:
            console.print(f"  it runs at {server.url}; its dashboard is the page at {server.url}/")
            _introduce_engine(console, server)
            _introduce(console, streams, seconds, limit)
            feeds, elapsed = asyncio.run(feed_all(server.url, streams, console, seconds or math.inf))
            runs = [feed.run for feed in feeds]
            samples = sum(feed.sent for feed in feeds)
            console.print()
            console.print(
                final_table(runs, f"{samples:,} samples in {elapsed:.1f} s, {samples / elapsed:,.0f} a second")
            )
            console.print(
                "  error: mean absolute (phishing: fraction wrong), counted before each target was known\n"
                "  ÷ persistence: on the last quarter, beside 'nothing changes'; below 1 the stream is worth having",
                style="dim",
            )
            if any(feed.sent < len(feed.stream.samples) for feed in feeds):
                console.print(
                    f"  stopped after {seconds:.0f} s, before the data's end; `demo --seconds 0` sends it all",
                    style="yellow",
                )
            if keep:
                _keep(console, server)
    return runs


async def feed_all(
    url: str, streams: Sequence[DemoStream], console: Console, seconds: float
) -> tuple[list[Feed], float]:
    """Create the streams and send all of them at once for at most `seconds`.

    Returns their scores, and how long it took in seconds.
    """
    async with AsyncClient(url) as client:
        feeds = []
        for stream in streams:
            info = await (await client.create_stream(stream.name, stream.spec)).info()
            horizons = [int(horizon) for horizon in info.spec["horizon"]] if info.spec["task"] == "forecast" else []
            feeds.append(Feed(stream, Run(stream.name, cell_name(info.spec["cell"]), Scorer(horizons))))
        began = time.monotonic()
        async with client.session(window=2 * len(feeds)) as session:
            screen = asyncio.create_task(_show(feeds, console, began))
            try:
                async with asyncio.TaskGroup() as group:
                    for feed in feeds:
                        group.create_task(_feed(feed, session, client, began + seconds))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from errors
            finally:
                screen.cancel()
                await asyncio.gather(screen, return_exceptions=True)
        return feeds, time.monotonic() - began


async def _feed(feed: Feed, session: AsyncSession, client: AsyncClient, deadline: float) -> None:
    """Send one stream, sample by sample, its late labels by POST, until `deadline` of the monotonic clock."""
    stream, scorer = feed.stream, feed.run.scorer
    forecast, late = stream.spec["task"] == "forecast", stream.label_delay
    feed.started = time.monotonic()
    seqs: list[int] = []
    label_under_way: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    label_under_way.set_result(None)
    for place, sample in enumerate(stream.samples):
        if time.monotonic() > deadline:
            break
        if forecast:
            scorer.observed(len(seqs) + 1, sample.x)
        scorer.sent(len(seqs) + 1)
        label = sample.y if late == 0 else None
        sent_at = time.perf_counter()
        answer = await session.send(stream.name, t=sample.t, x=sample.x, y=label)
        feed.run.latencies_s.append(time.perf_counter() - sent_at)
        feed.sent += 1
        seqs.append(answer.seq)
        scorer.answered(answer)
        if label is not None:
            scorer.observed(answer.seq, _target(label))
        if late and place >= late:
            await label_under_way  # one at a time, while the next sample is on its way
            label_under_way = asyncio.create_task(
                _send_labels(feed, client, {seqs[place - late]: stream.samples[place - late].y})
            )
    await label_under_way
    rest = (
        {seqs[place]: stream.samples[place].y for place in range(max(0, len(seqs) - late), len(seqs))} if late else {}
    )
    await _send_labels(feed, client, rest)
    feed.ended = time.monotonic()


async def _send_labels(feed: Feed, client: AsyncClient, labels: Mapping[int, float | str | None]) -> None:
    known = {seq: y for seq, y in labels.items() if y is not None}
    for seq, y in known.items():
        feed.run.scorer.observed(seq, _target(y))
    for result in await client.label_many(feed.stream.name, known):
        if isinstance(result, ProblemError):
            raise result
        if result.drift is not None:
            feed.run.scorer.drifted(result.seq)


def _target(label: float | str) -> list[float] | str:
    return label if isinstance(label, str) else [label]


async def _show(feeds: Sequence[Feed], console: Console, began: float) -> None:
    """Draw the progress until cancelled; where there is no terminal, a line now and then."""
    if not console.is_terminal:
        while True:
            await asyncio.sleep(_LINE_EVERY_S)
            done = "  ".join(f"{feed.stream.name} {feed.sent}/{len(feed.stream.samples)}" for feed in feeds)
            console.print(f"  {time.monotonic() - began:4.0f} s  {done}")
    with Live(_screen(feeds, began), console=console, auto_refresh=False, transient=True) as live:
        while True:
            await asyncio.sleep(_REFRESH_S)
            live.update(_screen(feeds, began), refresh=True)


def _screen(feeds: Sequence[Feed], began: float) -> RenderableType:
    elapsed = max(1e-9, time.monotonic() - began)
    total = sum(feed.sent for feed in feeds)
    table = Table(title=f"{total:,} samples, {total / elapsed:,.0f}/s, {elapsed:.0f} s", title_justify="left")
    for heading in ("stream", "cell", "", "samples/s", "horizon", "recent error", "naive", "ratio", "drift"):
        table.add_column(heading, justify="left" if heading in ("stream", "cell", "") else "right")
    for feed in feeds:
        horizon, tally = next(iter(feed.run.scorer.tallies.items()))
        error, naive = tally.recent
        table.add_row(
            feed.stream.name,
            feed.run.cell,
            ProgressBar(total=max(1, len(feed.stream.samples)), completed=feed.sent, width=20),
            f"{feed.rate:,.0f}",
            str(horizon) if horizon is not None else "label",
            number(error),
            number(naive),
            ratio(error / naive if naive > 0 else None),
            str(len(feed.run.scorer.drift_seqs)),
        )
    return table


def _introduce(console: Console, streams: Sequence[DemoStream], seconds: float, limit: int | None) -> None:
    console.print(f"[bold]feeding {len(streams)} streams[/] at once over one WebSocket:")
    for stream in streams:
        times = [sample.t for sample in stream.samples]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        holes = sum(gap > 1.5 * min(gaps) for gap in gaps) if gaps else 0
        notes = [stream.about, f"{len(times):,} samples"]
        notes += [f"{holes} gaps in time"] if holes else []
        notes += [f"labels {stream.label_delay} samples late"] if stream.label_delay else []
        console.print(f"  {stream.name}: {', '.join(notes)}")
    if seconds:
        console.print(f"  for {seconds:.0f} s at most", style="dim")
    if limit is not None:
        console.print(f"  only the first {limit:,} samples of each, as asked", style="yellow")


def _introduce_engine(console: Console, server: ChildServer) -> None:
    with Client(server.url) as client:
        readiness = client.ready()
    console.print(f"  engine {readiness.engine}", markup=False)
    if readiness.engine_fallback is not None:
        # Without kernels every number below is another one, and the operator's to mend.
        console.print(f"  not the native engine: {readiness.engine_fallback}", markup=False, style="yellow")


def _keep(console: Console, server: ChildServer) -> None:
    console.print(f"\nthe server stays at [bold]{server.url}/[/] until Ctrl-C")
    try:
        server.wait()
    except KeyboardInterrupt:
        console.print("stopping ...")


__all__ = ["feed_all", "run_demo"]
