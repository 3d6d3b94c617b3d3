"""What was measured of the store, as rows, as JSON and as a table."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of call at one setting of `appendfsync`."""

    call: str
    appendfsync: str
    unit: str
    units_per_call: int
    #: By the median of the calls.
    units_per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(slots=True)
class Report:
    """A whole run."""

    machine: dict[str, Any]
    #: Kind and version.
    server: str = ""
    rows: list[Row] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    def show(self, console: Console) -> None:
        """As a table."""
        console.print(
            f"{self.machine['cpu']}, {self.machine['cores']} cores, load {self.machine['load']} before; {self.server}; "
            f"python {self.machine['python']}"
        )
        table = Table(title="Calls of the store, one after another", title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("call")
        table.add_column("appendfsync")
        for heading in ("a call", "a second", "p50 ms", "p99 ms"):
            table.add_column(heading, justify="right")
        for row in self.rows:
            table.add_row(
                row.call,
                row.appendfsync,
                f"{row.units_per_call:,} {row.unit}",
                f"{row.units_per_s:,.0f}",
                f"{row.p50_ms:.2f}",
                f"{row.p99_ms:.2f}",
            )
        console.print(table)


__all__ = ["Report", "Row"]
