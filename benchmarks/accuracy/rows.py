"""What was measured: one figure of one model, with its value for every seed."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.accuracy.data import Metric

LIQUID = "liquid"
NO_DETECTOR = "liquid, no detector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model on one stream."""

    dataset: str
    stream: str
    #: Rows ahead; `None` where labels come from outside.
    horizon: int | None
    #: Which rows of the stream; empty: all that are scored.
    part: str = ""
    model: str
    metric: Metric
    #: One for each seed; a model without one has one value.
    values: list[float] = field(default_factory=list)
    #: Share of the targets within the intervals, for each seed; empty for a model without intervals.
    coverage: list[float] = field(default_factory=list)
    #: Targets that counted, for one seed.
    count: int = 0

    @property
    def value(self) -> float:
        """The median over the seeds."""
        return statistics.median(self.values)

    @property
    def covered(self) -> float | None:
        """The median coverage, or `None`."""
        return statistics.median(self.coverage) if self.coverage else None

    @property
    def protocol(self) -> str:
        """How far ahead, on which rows."""
        told = [f"H={self.horizon}" if self.horizon is not None else "", self.part]
        return ", ".join(text for text in told if text)


class Rows:
    """Rows by what they are of; values of further seeds are added to them."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int | None, str, str, str], Row] = {}

    def add(self, row: Row) -> None:
        """Take a row with the values of one seed or of several."""
        key = (row.stream, row.horizon, row.part, row.model, row.metric)
        known = self._rows.setdefault(key, row)
        if known is not row:
            known.values.extend(row.values)
            known.coverage.extend(row.coverage)

    def all(self) -> list[Row]:
        """In the order in which they came."""
        return list(self._rows.values())


def pooled(rows: Iterable[Row], name: str) -> list[Row]:
    """Several streams as one: the mean over all their targets, of areas over the streams."""
    groups: dict[tuple[int | None, str, str, Metric], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.horizon, row.part, row.model, row.metric), []).append(row)
    found = []
    for (horizon, part, model, metric), group in groups.items():
        weights = [1 if metric == "auc" else row.count for row in group]
        found.append(
            Row(
                dataset=group[0].dataset,
                stream=name,
                horizon=horizon,
                part=part,
                model=model,
                metric=metric,
                values=_means([row.values for row in group], weights),
                coverage=_means([row.coverage for row in group], weights),
                count=sum(row.count for row in group),
            )
        )
    return found


def _means(values: list[list[float]], weights: list[int]) -> list[float]:
    """Weighted mean over the streams, seed by seed, for the seeds that all of them have."""
    total = sum(weights)
    seeds = zip(*values, strict=False)
    return [sum(w * v for w, v in zip(weights, seed, strict=True)) / total for seed in seeds] if total else []


__all__ = ["LIQUID", "NO_DETECTOR", "Row", "Rows", "pooled"]
