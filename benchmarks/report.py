"""What was measured, as rows, as JSON and as tables."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.models import MODELS


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model in one engine with so many streams, on one core."""

    model: str
    engine: str
    streams: int
    #: Microseconds for one sample: predicted, and learned from.
    us_per_step: float
    steps_per_s_per_core: float
    #: How many times faster than `ncps`; `None` where that was not measured.
    ratio_to_ncps: float | None = None
    #: Streams that `ncps` had when it was measured for this ratio.
    ncps_streams: int | None = None
    #: The arithmetic's own time by the time that was taken, at most 1; `None` where the core was not measured.
    ratio_to_ceiling: float | None = None
    bytes_per_stream: int
    num_params: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One model in the native engine under another pattern of arrivals."""

    model: str
    engine: str
    pattern: str
    streams: int
    threads: int
    us_per_step: float
    steps_per_s_per_core: float


@dataclass(slots=True)
class Report:
    """A whole run."""

    machine: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    patterns: list[Pattern] = field(default_factory=list)
    #: What was left out, and why.
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep a remark, once."""
        if text not in self.notes:
            self.notes.append(text)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    def show(self, console: Console) -> None:
        """As tables."""
        console.print(_heading(self.machine))
        console.print(_table(self.rows))
        if self.patterns:
            console.print(_pattern_table(self.patterns))
        if any(_borrowed(row) for row in self.rows):
            console.print("* by ncps with another number of streams, the nearest that it was measured with")
        for note in self.notes:
            console.print(f"- {note}", markup=False)


def compared_with_ncps(rows: Iterable[Row]) -> list[Row]:
    """Rows with their ratio to `ncps` on the same model.

    Where it was not measured with as many streams, the largest smaller number counts, or else the smallest.
    """
    rows = list(rows)
    measured: dict[str, dict[int, float]] = {}
    for row in rows:
        if row.engine == "ncps":
            measured.setdefault(row.model, {})[row.streams] = row.us_per_step
    return [_compared(row, measured[row.model]) if row.model in measured else row for row in rows]


def _compared(row: Row, ncps: dict[int, float]) -> Row:
    streams = max((count for count in ncps if count <= row.streams), default=min(ncps))
    return dataclasses.replace(row, ratio_to_ncps=ncps[streams] / row.us_per_step, ncps_streams=streams)


def _borrowed(row: Row) -> bool:
    return row.ncps_streams is not None and row.ncps_streams != row.streams


def _heading(machine: dict[str, Any]) -> str:
    return (
        f"{machine['cpu']}, one core of {machine['cores']}, load {machine['load']} before; kernels for "
        f"{machine['isa'] or 'nothing'}; torch {machine['torch']} ({machine['torch_isa']}), python {machine['python']}"
    )


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title="One sample: predict, and learn from a window of 16", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("model")
    table.add_column("engine")
    for heading in ("streams", "µs / step", "steps / s / core", "times ncps", "of ceiling", "kB / stream", "params"):
        table.add_column(heading, justify="right")
    for model in dict.fromkeys(row.model for row in rows):
        table.add_section()
        for row in (row for row in rows if row.model == model):
            table.add_row(
                row.model,
                row.engine,
                f"{row.streams:,}",
                _significant(row.us_per_step),
                f"{row.steps_per_s_per_core:,.0f}",
                "" if row.ratio_to_ncps is None else _significant(row.ratio_to_ncps) + ("*" if _borrowed(row) else " "),
                "" if row.ratio_to_ceiling is None else f"{100 * row.ratio_to_ceiling:.2g} %",
                f"{row.bytes_per_stream / 1e3:,.1f}",
                f"{row.num_params:,}",
            )
    table.caption = "; ".join(f"{name}: {MODELS[name].title}" for name in dict.fromkeys(row.model for row in rows))
    table.caption_justify = "left"
    return table


def _pattern_table(patterns: Sequence[Pattern]) -> Table:
    table = Table(title="Native engine, by pattern of arrivals", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("model")
    table.add_column("pattern")
    for heading in ("streams", "threads", "µs / step", "steps / s / core"):
        table.add_column(heading, justify="right")
    for row in patterns:
        table.add_row(
            row.model,
            row.pattern,
            f"{row.streams:,}",
            str(row.threads),
            _significant(row.us_per_step),
            f"{row.steps_per_s_per_core:,.0f}",
        )
    return table


def _significant(value: float) -> str:
    """Three significant digits, or all before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


__all__ = ["Pattern", "Report", "Row", "compared_with_ncps"]
