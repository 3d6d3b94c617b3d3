"""The streams made by formula as they are scored: over all, right after a drift, and where a concept is settled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.accuracy.concepts import Drifting, abrupt, gradual, incremental, recurring, walk
from benchmarks.accuracy.data import Mask, Stream

#: Rows after a drift that count as its first ones, and the last rows of a concept, where it is settled.
AFTER_DRIFT = 300
SETTLED = 2000
#: Rows after a drift over which the intervals are looked at.
COVERED = 1000
#: Concepts at either end whose errors are held against each other.
ENDS = 10


def concepts(seed: int, quick: bool) -> list[Stream]:
    """Twelve concepts, 4000 rows each."""
    return [_stream("concepts", abrupt(seed, 3, 2000) if quick else abrupt(seed))]


def changes(seed: int, quick: bool) -> list[Stream]:
    """Concepts that come back, and drifts that take their time."""
    if quick:
        return [_stream("recurring", recurring(seed, 2, 2, 1500))]
    return [
        _stream("recurring", recurring(seed)),
        _stream("gradual", gradual(seed)),
        _stream("incremental", incremental(seed)),
    ]


def plasticity(seed: int, quick: bool) -> list[Stream]:
    """Fifty concepts, 2000 rows each: whether the last are learned as well as the first."""
    count, length = (6, 1000) if quick else (50, 2000)
    ends = min(ENDS, count // 2)
    made = abrupt(seed, count, length)
    place = np.arange(len(made.series)) // length
    parts = {"first concepts": place < ends, "last concepts": place >= count - ends}
    return [Stream(made.series, "mse", parts=parts, made_as="plasticity")]


def walks(seed: int, quick: bool) -> list[Stream]:
    """A random walk."""
    series = walk(seed, 6000 if quick else 20_000)
    return [Stream(series, "mse", horizons=(1,), made_as="walk")]


def _stream(name: str, made: Drifting) -> Stream:
    rows = np.arange(len(made.series))
    starts = np.concatenate([[0], made.drifts])
    place = np.searchsorted(starts, rows, side="right") - 1
    since = rows - starts[place]
    left = np.append(starts[1:], len(rows))[place] - rows
    drifted = place > 0
    settled = np.minimum(SETTLED, int(np.diff(np.append(starts, len(rows))).min()) // 2)
    parts: dict[str, Mask] = {
        "after drift": drifted & (since < AFTER_DRIFT),
        "steady": left <= settled,
        f"first {COVERED}": drifted & (since < COVERED),
    }
    return Stream(made.series, "mse", parts=parts, made_as=name)


#: By name, what makes the streams of a seed.
MAKERS: dict[str, Callable[[int, bool], list[Stream]]] = {
    "concepts": concepts,
    "changes": changes,
    "plasticity": plasticity,
    "walk": walks,
}

__all__ = ["AFTER_DRIFT", "COVERED", "ENDS", "MAKERS", "SETTLED"]
