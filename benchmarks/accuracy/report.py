"""What was measured, as lines while it runs, as JSON that a later run goes on from, and as tables."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.goals import GOALS, LARGER_IS_BETTER, Verdict
from benchmarks.accuracy.published import PUBLISHED
from benchmarks.accuracy.rows import LIQUID, Row, pooled

#: Streams that are also told of as one, by how their names begin.
POOLS = ("bikes30", "bikes60", "nab")


@dataclass(slots=True)
class Report:
    """A whole run, or what there is of it."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    #: Rows of every job that is done, by its name.
    jobs: dict[str, list[Row]] = field(default_factory=dict)
    #: What each job's rows depend on.
    fingerprints: dict[str, str] = field(default_factory=dict)
    #: What was left out, and why.
    notes: list[str] = field(default_factory=list)
    #: Whether a job came to no good end.
    failed: bool = False

    def note(self, text: str) -> None:
        """Keep a remark, once."""
        if text not in self.notes:
            self.notes.append(text)

    def rows(self) -> list[Row]:
        """All rows, those of streams that are told of as one included."""
        rows = [row for job in self.jobs.values() for row in job]
        for pool in POOLS:
            rows += pooled([row for row in rows if row.stream.startswith(f"{pool}_")], pool)
        return rows

    def verdicts(self) -> list[Verdict]:
        """Of the goals whose data sets were run."""
        streams = {row.stream for row in self.rows()}
        return [verdict for verdict in (goal.judge(self.rows()) for goal in GOALS) if verdict.stream in streams]

    def take_over(self, path: Path, fingerprints: dict[str, str]) -> None:
        """Keep the rows of an earlier run's jobs that would come out the same."""
        if not path.exists():
            return
        earlier = json.loads(path.read_text())
        for name, fingerprint in fingerprints.items():
            if earlier.get("fingerprints", {}).get(name) == fingerprint:
                self.jobs[name] = [Row(**row) for row in earlier["jobs"][name]]
                self.fingerprints[name] = fingerprint

    def write(self, path: Path) -> None:
        """As JSON; a file that was there is replaced at once."""
        told = dataclasses.asdict(self) | {"goals": [dataclasses.asdict(verdict) for verdict in self.verdicts()]}
        beside = path.with_name(path.name + ".part")
        beside.write_text(json.dumps(told, indent=1) + "\n")
        beside.replace(path)

    def show(self, console: Console) -> None:
        """As tables: a data set each, then the goals."""
        rows = self.rows()
        # What was published is of whole streams.
        published = {} if self.settings.get("quick") else PUBLISHED
        for dataset in dict.fromkeys(row.dataset for row in rows):
            console.print(_table(dataset, [row for row in rows if row.dataset == dataset], published))
        if any((row.stream, row.horizon) in published for row in rows):
            console.print(
                "* published; beyond H=1 the mean over all rows up to H, of models that learn each window before its "
                "rows have passed"
            )
        verdicts = self.verdicts()
        if verdicts:
            console.print(_goals(verdicts, bool(self.settings.get("quick"))))
        for note in [*self.notes, *_uneven(rows)]:
            console.print(f"- {note}", markup=False)


def line(row: Row) -> str:
    """A row in one line."""
    covered = "" if row.covered is None else f"  coverage {row.covered:.1%}"
    return f"{row.stream:34} {row.protocol:16} {row.model:28} {row.metric} {_significant(row.value)}{covered}"


def _table(dataset: str, rows: Sequence[Row], published: Mapping[tuple[str, int | None], dict[str, float]]) -> Table:
    table = Table(title=dataset, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("stream")
    table.add_column("protocol")
    table.add_column("model")
    for heading in ("metric", "value", "seeds: lowest, highest", "coverage", "to persistence"):
        table.add_column(heading, justify="right")
    for place in dict.fromkeys((row.stream, row.horizon, row.part, row.metric) for row in rows):
        here = [row for row in rows if (row.stream, row.horizon, row.part, row.metric) == place]
        best = {row.model: row.value for row in here}
        table.add_section()
        up = place[3] in LARGER_IS_BETTER
        for row in sorted(here, key=lambda row: -row.value if up else row.value):
            spread = f"{_significant(min(row.values))}, {_significant(max(row.values))}" if len(row.values) > 1 else ""
            base = best.get("persistence")
            table.add_row(
                row.stream,
                row.protocol,
                f"[bold]{row.model}[/bold]" if row.model == LIQUID else row.model,
                row.metric,
                _significant(row.value),
                spread,
                "" if row.covered is None else f"{row.covered:.1%}",
                f"{row.value / base - 1.0:+.1%}" if base else "",
            )
        if not place[2]:
            for name, value in published.get((place[0], place[1]), {}).items():
                table.add_row(place[0], here[0].protocol, f"{name} *", place[3], _significant(value), "", "", "")
    return table


def _goals(verdicts: Sequence[Verdict], quick: bool) -> Table:
    title = "Goals" + (" (of the whole streams; these are cut, and only give a hint)" if quick else "")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("stream", "protocol", "goal", "reached", "met"):
        table.add_column(heading)
    told = {True: "yes", False: "no", None: "not measured"}
    for verdict in verdicts:
        table.add_row(verdict.stream, verdict.protocol, verdict.goal, verdict.reached, told[verdict.met])
    return table


def _uneven(rows: Sequence[Row]) -> list[str]:
    """Models that said nothing about some values that others predicted."""
    most: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row.stream, row.protocol)
        most[key] = max(most.get(key, 0), row.count)
    found = []
    for row in rows:
        there = most[row.stream, row.protocol]
        if row.count < 0.999 * there:
            found.append(f"{row.stream} {row.protocol}: {row.model} predicted {row.count:,} of {there:,} values.")
    return found


def _significant(value: float) -> str:
    """Four significant digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}"


__all__ = ["POOLS", "Report", "line"]
