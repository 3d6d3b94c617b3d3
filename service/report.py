"""The tables and lines that `replay`, `demo` and `streams` print."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.table import Table
from rich.text import Text

from liquidstream_client import ColdStream, StreamInfo
from service.scoring import Scorer


@dataclass(slots=True)
class Run:
    """One stream of a replay: its name, its score and how long each answer took."""

    stream: str
    cell: str
    scorer: Scorer
    unit: str = ""
    latencies_s: list[float] = field(default_factory=list)


def final_table(runs: Iterable[Run], title: str) -> Table:
    """A line a stream and horizon: error of the first and last quarter, beside persistence, and latency."""
    table = _narrow_table(title)
    table.add_column("stream", no_wrap=True)
    table.add_column("cell", no_wrap=True)
    for heading in ("ahead", "error,\nfirst\nquarter", "error,\nlast\nquarter", "÷ per-\nsistence"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("drift", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in runs:
        p50, p99 = (quantile(run.latencies_s, q) * 1000 for q in (0.5, 0.99))
        for line, (horizon, tally) in enumerate(run.scorer.tallies.items()):
            table.add_row(
                run.stream if line == 0 else "",
                run.cell if line == 0 else "",
                str(horizon) if horizon is not None else "label",
                number(tally.first_quarter),
                number(tally.last_quarter),
                ratio(tally.ratio),
                str(len(run.scorer.drift_seqs)) if line == 0 else "",
                f"{p50:.0f}" if line == 0 else "",
                f"{p99:.0f}" if line == 0 else "",
            )
    return table


def streams_table(streams: Sequence[StreamInfo | ColdStream]) -> Table:
    """What the server says about its streams."""
    table = _narrow_table(f"{len(streams)} stream{'' if len(streams) == 1 else 's'}")
    for heading in ("stream", "task", "cell"):
        table.add_column(heading, no_wrap=True)
    for heading in ("samples", "updates", "ahead", "recent\nerror", "naive", "ratio", "drift", "weights"):
        table.add_column(heading, justify="right", no_wrap=True)
    for info in streams:
        if isinstance(info, ColdStream):
            table.add_row(info.id, str(info.spec.get("task", "")), cell_name(info.spec.get("cell")), "not in memory")
            continue
        first = info.errors[0] if info.errors else None
        recent, naive = (first.recent, first.naive_recent) if first else (None, None)
        table.add_row(
            info.id,
            str(info.spec.get("task", "")),
            cell_name(info.spec.get("cell")),
            f"{info.samples:,}",
            f"{info.updates:,}",
            str(first.horizon) if first and first.horizon is not None else "",
            number(recent),
            number(naive),
            ratio(recent / naive if recent is not None and naive else None),
            str(info.drift_events),
            f"{info.parameters:,}",
        )
    return table


def _narrow_table(title: str) -> Table:
    """A table that has room for ten columns on a terminal of eighty."""
    return Table(
        title=title, title_justify="left", caption_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )


def cell_name(cell: object) -> str:
    """The kind of a spec's cell, which is a name or an object with its settings."""
    return str(cell.get("kind", "")) if isinstance(cell, dict) else str(cell or "")


def number(value: float | None) -> str:
    """Four significant digits, or a dash."""
    return "-" if value is None or math.isnan(value) else f"{value:.4g}"


def ratio(value: float | None) -> Text:
    """A ratio to the naive error: green below 1, where the stream is worth having."""
    if value is None or math.isnan(value):
        return Text("-")
    return Text(f"{value:.2f}", style="green" if value < 1 else "yellow")


def quantile(values: Sequence[float], q: float) -> float:
    """The value below which a fraction `q` lies; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


__all__ = ["Run", "cell_name", "final_table", "number", "quantile", "ratio", "streams_table"]
