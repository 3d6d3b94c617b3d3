"""`liquidstream replay`: a CSV file into one stream, through the public API.

The file is read twice: once to find what is wrong with it before anything is sent, and once to send it.
"""

from __future__ import annotations

import concurrent.futures
import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from liquidstream_client import Client, ProblemError, SampleResult
from service.cli_errors import UserError
from service.csv_samples import CsvPlan, Row
from service.report import Run, cell_name, final_table, number
from service.scoring import Scorer

_SHOWN_EVENTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What to send where."""

    plan: CsvPlan
    stream: str
    spec: dict[str, Any]
    rate: float | None = None
    """Samples a second; `None` as fast as the server answers."""
    window: int = 64


@dataclass(slots=True)
class Census:
    """What the first reading of a file found."""

    rows: int = 0
    missing_values: int = 0
    out_of_order: list[int] = field(default_factory=list)
    """Lines whose time does not lie after the line before: repeated or late. They are skipped."""
    classes: list[str] = field(default_factory=list)
    first_t: float | None = None
    last_t: float | None = None


def take_census(plan: CsvPlan) -> Census:
    """Read the whole file; every unreadable cell raises `CsvError` here, before anything is sent."""
    census, classes = Census(), set()
    for row in plan.rows():
        if census.last_t is not None and row.t <= census.last_t:
            census.out_of_order.append(row.line)
            continue
        census.rows += 1
        census.first_t = row.t if census.first_t is None else census.first_t
        census.last_t = row.t
        census.missing_values += sum(value is None for value in row.x)
        if isinstance(row.y, str):
            classes.add(row.y)
    census.classes = sorted(classes)
    return census


def in_order(plan: CsvPlan, after: float | None) -> Iterator[Row]:
    """The rows whose time moves forward, beginning after `after`."""
    newest = after
    for row in plan.rows():
        if newest is None or row.t > newest:
            newest = row.t
            yield row


def replay(client: Client, job: Replay, census: Census, console: Console) -> Run:
    """Send the file and print what comes of it; returns the score.

    Raises
    ------
    UserError
        The stream already has all of this.
    LiquidstreamError
        The server refused the stream or went away.
    """
    info = client.create_stream(job.stream, job.spec).resume()
    after = info.last_t if info.last_seq else None
    total = sum(1 for _ in in_order(job.plan, after)) if after is not None else census.rows
    if total == 0:
        raise UserError(
            f"stream '{job.stream}' already has samples up to the end of this file. Send it to a new one with --stream."
        )
    if after is not None:
        console.print(f"  resuming after sample {info.last_seq:,}: {census.rows - total:,} rows are there already")
    horizons = [int(horizon) for horizon in info.spec.get("horizon", [])] if job.spec["task"] == "forecast" else []
    run = Run(job.stream, cell_name(info.spec.get("cell")), Scorer(horizons))
    sender = _Sender(job, run, console)
    started = time.monotonic()
    sender.send(client, in_order(job.plan, after), total)
    elapsed = time.monotonic() - started
    console.print(
        final_table([run], f"{sender.answered:,} samples in {elapsed:.1f} s, {sender.answered / elapsed:,.0f} a second")
    )
    for code, count in sorted(sender.refused.items()):
        console.print(f"  [yellow]{count:,} samples refused:[/] {code}")
    return run


@dataclass(slots=True)
class _UnderWay:
    """One sample on its way."""

    row: Row
    sent_at: float
    future: concurrent.futures.Future[SampleResult]
    answered_at: float | None = None

    def arrived(self, _: object) -> None:
        self.answered_at = time.monotonic()


class _Sender:
    """Keeps a window of samples under way and takes their answers in order."""

    def __init__(self, job: Replay, run: Run, console: Console) -> None:
        self.job = job
        self.run = run
        self.console = console
        self.answered = 0
        self.refused: dict[str, int] = {}
        self._under_way: deque[_UnderWay] = deque()
        targets = job.spec.get("targets") or job.spec["features"]
        self._target_at = (
            [job.spec["features"].index(name) for name in targets] if job.spec["task"] == "forecast" else []
        )

    def send(self, client: Client, rows: Iterator[Row], total: int) -> None:
        with _progress(self.console) as progress, client.session(window=self.job.window) as session:
            task = progress.add_task(self.job.stream, total=total, note="")
            began = time.monotonic()
            for number_sent, row in enumerate(rows):
                if self.job.rate is not None:
                    time.sleep(max(0.0, began + number_sent / self.job.rate - time.monotonic()))
                sent_at = time.monotonic()
                future = session.submit(self.job.stream, t=row.t, x=row.x, y=self._label(row))
                sample = _UnderWay(row, sent_at, future)
                future.add_done_callback(sample.arrived)
                self._under_way.append(sample)
                self._take(block=False)
                progress.update(task, completed=self.answered + sum(self.refused.values()), note=self._note())
            self._take(block=True)
            progress.update(task, completed=total, note=self._note())

    def _label(self, row: Row) -> str | list[float] | None:
        """The label that goes along with a sample; one with a hole in it does not."""
        if row.y is None or isinstance(row.y, str):
            return row.y
        present = [value for value in row.y if value is not None]
        return present if len(present) == len(row.y) else None

    def _take(self, *, block: bool) -> None:
        """Score the answers that are here, oldest first; with `block` all that are under way."""
        while self._under_way and (block or self._under_way[0].future.done()):
            sample = self._under_way.popleft()
            try:
                answer = sample.future.result()
            except ProblemError as error:
                if error.status in (401, 403, 404) or error.is_temporary:
                    raise
                self.refused[error.code] = self.refused.get(error.code, 0) + 1
                continue
            self.answered += 1
            self.run.latencies_s.append((sample.answered_at or time.monotonic()) - sample.sent_at)
            self._score(sample.row, answer)

    def _score(self, row: Row, answer: SampleResult) -> None:
        """The answer was made before its targets: that is the server's promise, so both are entered together."""
        scorer = self.run.scorer
        if self._target_at:
            scorer.observed(answer.seq, [row.x[at] for at in self._target_at])
            scorer.sent(answer.seq)
        else:
            scorer.sent(answer.seq)
            label = self._label(row)
            if label is not None:
                scorer.observed(answer.seq, label)
        scorer.answered(answer)
        if answer.drift is not None and len(scorer.drift_seqs) <= _SHOWN_EVENTS:
            self.console.print(f"  [magenta]drift[/] {answer.drift} at sample {answer.seq:,}, {_moment(row.t)}")

    def _note(self) -> str:
        tally = next(iter(self.run.scorer.tallies.values()))
        error, naive = tally.recent
        return f"error {number(error)}, naive {number(naive)}, drift {len(self.run.scorer.drift_seqs)}"


class _SpeedColumn(ProgressColumn):
    """Samples answered a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s", style="cyan")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _SpeedColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console,
    )


def stream_name(text: str) -> str:
    """A valid stream id out of a file's name."""
    name = re.sub(r"[^A-Za-z0-9._~-]+", "-", text).strip("-._~")
    return name[:128] or "replay"


def describe_plan(plan: CsvPlan, census: Census, console: Console) -> None:
    """Say what was read and how, and what is skipped."""
    span = (census.first_t, census.last_t) if census.first_t is not None and census.last_t is not None else None
    describe_columns(plan, census.rows, span, census.missing_values, console)
    if census.out_of_order:
        lines = ", ".join(str(line) for line in census.out_of_order[:5])
        more = ", ..." if len(census.out_of_order) > 5 else ""
        count = f"rows skipped for a repeated or late time: {len(census.out_of_order):,}"
        console.print(f"  [yellow]{count}[/] (lines {lines}{more})")


def describe_columns(
    plan: CsvPlan, rows: int, span: tuple[float, float] | None, missing: int, console: Console
) -> None:
    """Say which columns are what, from when to when, and how many values are missing."""
    when = f"time from '{escape(plan.time_from)}'" if plan.time_from else "no time column: rows count as seconds"
    console.print(f"[bold]{escape(plan.path.name)}[/]: {rows:,} rows, {when}")
    console.print(f"  features: {escape(', '.join(plan.features))}")
    if plan.left_out:
        names = escape(", ".join(name or "(no name)" for name in plan.left_out))
        console.print(f"  left out, not numbers: {names}")
    if plan.labels:
        console.print(f"  labels: {escape(', '.join(plan.labels))}")
    if plan.time_from and span is not None:
        console.print(f"  from {_moment(span[0])} to {_moment(span[1])}")
    if missing:
        console.print(f"  missing values, sent as null: {missing:,}")


def _moment(t: float) -> str:
    """A time for people, where it looks like one of this age; otherwise the number."""
    return f"{datetime.fromtimestamp(t, UTC):%Y-%m-%d %H:%M:%S} UTC" if 1e8 < t < 1e11 else f"t = {t:g}"


__all__ = ["Census", "Replay", "describe_columns", "describe_plan", "in_order", "replay", "stream_name", "take_census"]
