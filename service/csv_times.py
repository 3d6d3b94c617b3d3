"""Times in text and numbers: how the cells of a column, or of several together, are read as seconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

#: What a column of times is called, likely names first.
TIME_NAMES = ("t", "time", "timestamp", "datetime", "date", "ts", "ds", "index")
_TIME_FORMATS = (
    *("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y"),
    *("%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d"),
    *("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y"),
    *("%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y"),
    *("%d.%m.%y %H:%M:%S", "%d.%m.%y %H:%M", "%d.%m.%y"),
    *("%d/%m/%y %H:%M:%S", "%d/%m/%y %H:%M", "%d/%m/%y"),
    *("%m/%d/%y %H:%M:%S", "%m/%d/%y %H:%M", "%m/%d/%y"),
)
#: Columns that make a time together; the first three must be there.
TIME_PARTS = ("year", "month", "day", "hour", "minute", "second")

ParseTime = Callable[[str], float]


def time_parser(cells: list[str], at_least: float = 0.5) -> ParseTime | None:
    """How these cells can be read as times: the reading that most of them allow and in which time runs forward.

    Where day and month could be either, the reading with the shorter longest gap. A few cells that it cannot read do
    not speak against it; they are reported, with their line, when they are read.
    """
    best: tuple[int, int, float] | None = None
    chosen: ParseTime | None = None
    for parse in (_numeric_time(cells), _iso_time, *map(_formatted_time, _TIME_FORMATS)):
        times = [time for cell in cells if (time := _read_time(parse, cell)) is not None]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        rank = (len(times), -sum(gap < 0 for gap in gaps), -max(gaps, default=0.0))
        if times and len(times) >= at_least * len(cells) and (best is None or rank > best):
            best, chosen = rank, parse
    return chosen


def _read_time(parse: ParseTime, cell: str) -> float | None:
    try:
        return parse(cell)
    except ValueError:
        return None


def _numeric_time(cells: list[str]) -> ParseTime:
    """Numbers since the epoch: seconds, unless they are so large that they must be milli-, micro- or nanoseconds."""
    largest = max((abs(value) for cell in cells if (value := _read_time(float, cell)) is not None), default=0.0)
    scale = next((scale for limit, scale in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)) if largest > limit), 1.0)

    def parse(cell: str) -> float:
        value = float(cell) / scale
        if not math.isfinite(value):
            raise ValueError("not a time")
        return value

    return parse


def _iso_time(cell: str) -> float:
    return _timestamp(datetime.fromisoformat(cell.strip()))


def _formatted_time(form: str) -> ParseTime:
    return lambda cell: _timestamp(datetime.strptime(cell.strip(), form))


def _timestamp(moment: datetime) -> float:
    """Seconds since the epoch; a time without a zone is taken as UTC."""
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def time_of_parts(cells: list[str]) -> float:
    """Seconds since the epoch of the cells of year, month, day and so on."""
    return _timestamp(datetime(*(int(float(cell)) for cell in cells)))  # type: ignore[arg-type]


__all__ = ["TIME_NAMES", "TIME_PARTS", "ParseTime", "time_of_parts", "time_parser"]
