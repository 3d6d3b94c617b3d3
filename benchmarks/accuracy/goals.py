"""What the default model is meant to reach, and whether it does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from benchmarks.accuracy.data import BIKE_DELAYS_MIN
from benchmarks.accuracy.models import HALF_SPACE_TREES, Z_SCORE
from benchmarks.accuracy.rows import LIQUID, NO_DETECTOR, Row

LARGER_IS_BETTER = ("accuracy", "auc")
COVERAGE = (0.88, 0.92)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal and what came of it."""

    stream: str
    protocol: str
    goal: str
    reached: str
    #: `None`: something that it takes was not measured.
    met: bool | None


@dataclass(frozen=True, slots=True)
class At:
    """Where a goal looks."""

    stream: str
    horizon: int | None = None
    part: str = ""

    def rows(self, rows: Sequence[Row]) -> dict[str, Row]:
        """By model; areas only where anomalies are looked at."""
        found = [row for row in rows if (row.stream, row.horizon, row.part) == (self.stream, self.horizon, self.part)]
        return {row.model: row for row in found if row.values}

    @property
    def protocol(self) -> str:
        told = [f"H={self.horizon}" if self.horizon is not None else "", self.part]
        return ", ".join(text for text in told if text)


class Goal(Protocol):
    """One line of the table."""

    def judge(self, rows: Sequence[Row]) -> Verdict:
        """Whether it was met."""


@dataclass(frozen=True, slots=True)
class Reach:
    """A figure no worse than a fixed one."""

    at: At
    metric: str
    limit: float

    def judge(self, rows: Sequence[Row]) -> Verdict:
        up = self.metric in LARGER_IS_BETTER
        goal = f"{self.metric} {'≥' if up else '≤'} {self.limit:g}"
        ours = self.at.rows(rows).get(LIQUID)
        if ours is None or ours.metric != self.metric:
            return Verdict(self.at.stream, self.at.protocol, goal, "", None)
        met = ours.value >= self.limit if up else ours.value <= self.limit
        return Verdict(self.at.stream, self.at.protocol, goal, f"{ours.value:.4g}", met)


@dataclass(frozen=True, slots=True)
class Beat:
    """Better than every one of some models by a margin; without names, than all that were measured."""

    at: At
    models: tuple[str, ...] = ()
    #: Share of the best peer's error that is taken away at least; negative: by which it may be exceeded.
    margin: float = 0.0

    def judge(self, rows: Sequence[Row]) -> Verdict:
        found = self.at.rows(rows)
        ours = found.pop(LIQUID, None)
        found.pop(NO_DETECTOR, None)
        peers = [row for name, row in found.items() if name in self.models or not self.models]
        if self.margin < 0:
            goal = f"within {-self.margin:.0%} of {' and '.join(self.models)}"
        else:
            than = " and ".join(self.models) or "all peers"
            goal = f"better than {than}" + (f" by {self.margin:.0%}" if self.margin else "")
        there = {row.model for row in peers}
        if ours is None or not peers or ours.metric != peers[0].metric:
            return Verdict(self.at.stream, self.at.protocol, goal, "", None)
        up = ours.metric in LARGER_IS_BETTER
        best = (max if up else min)(peers, key=lambda row: row.value)
        gain = (ours.value / best.value - 1.0 if up else 1.0 - ours.value / best.value) if best.value else -math.inf
        reached = f"{ours.value:.4g}, {gain:+.1%} against {best.model} with {best.value:.4g}"
        met: bool | None = gain >= self.margin if self.margin else gain > 0
        # A season may not exist; other models that are missing leave the question open, unless it is lost already.
        if met and set(self.models) - there - {"seasonal_naive"}:
            met = None
        return Verdict(self.at.stream, self.at.protocol, goal, reached, met)


@dataclass(frozen=True, slots=True)
class Cover:
    """Intervals that hold what they promise, on every one of the streams where several are told of as one."""

    at: At

    def judge(self, rows: Sequence[Row]) -> Verdict:
        low, high = COVERAGE
        goal = f"coverage {low:.0%} to {high:.0%}"
        parts = sorted({row.stream for row in rows if row.stream.startswith(f"{self.at.stream}_")})
        found = [replace(self.at, stream=name).rows(rows).get(LIQUID) for name in parts or [self.at.stream]]
        covered = [row.covered for row in found if row is not None and row.covered is not None]
        if not covered:
            return Verdict(self.at.stream, self.at.protocol, goal, "", None)
        worst, best = min(covered), max(covered)
        reached = f"{worst:.1%}" if len(covered) == 1 else f"{worst:.1%} to {best:.1%}"
        return Verdict(self.at.stream, self.at.protocol, goal, reached, low <= worst and best <= high)


_SIMPLE = ("persistence", "seasonal_naive", "online_linear")

GOALS: tuple[Goal, ...] = (
    Reach(At("wth", 1), "mse", 0.144),
    *(Beat(At("wth", horizon), _SIMPLE, 0.05) for horizon in (24, 48)),
    Reach(At("etth1", 1), "mse", 0.215),
    *(Beat(At("etth1", horizon), _SIMPLE, 0.05) for horizon in (24, 48)),
    *(Beat(At(f"bikes{delay}"), ("persistence",), 0.05) for delay in BIKE_DELAYS_MIN),
    *(Beat(At(name, horizon)) for name in ("metro", "beijing", "tetouan") for horizon in (1, 24)),
    Reach(At("elec2"), "accuracy", 0.90),
    Beat(At("nab", None, "anomaly"), (Z_SCORE, HALF_SPACE_TREES)),
    Reach(At("concepts"), "mse", 0.039),
    Reach(At("concepts", None, "after drift"), "mse", 0.092),
    Reach(At("concepts", None, "steady"), "mse", 0.031),
    Beat(At("walk", 1), ("persistence",), -0.01),
    *(Cover(At(name, horizon)) for name in ("wth", "etth1") for horizon in (1, 24, 48)),
    *(Cover(At(name, horizon)) for name in ("metro", "beijing", "tetouan") for horizon in (1, 24)),
    *(Cover(At(f"bikes{delay}")) for delay in BIKE_DELAYS_MIN),
    Cover(At("nab", 1)),
)

__all__ = ["COVERAGE", "GOALS", "At", "Beat", "Cover", "Goal", "Reach", "Verdict"]
