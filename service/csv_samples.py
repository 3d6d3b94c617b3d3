"""CSV files as samples: which column is the time, which are values, and what each row says.

Nothing is guessed silently: the plan names every choice, and the caller prints it. A cell that cannot be read is an
error that names its line, before anything is sent.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, pairwise
from pathlib import Path

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
_TIME_NAMES = ("t", "time", "timestamp", "datetime", "date", "ts", "ds", "index")
_TIME_FORMATS = (
    *("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y"),
    *("%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d"),
    *("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y"),
    *("%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y"),
)
_LOOK_AHEAD = 500

ParseTime = Callable[[str], float]


class CsvError(Exception):
    """A file that cannot be read as samples; the message names the line or column and the cure."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file."""

    line: int
    t: float
    x: list[float | None]
    y: list[float | None] | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvPlan:
    """How a file is read."""

    path: Path
    delimiter: str
    header: tuple[str, ...]
    time_column: str | None
    """`None`: the number of the row counts as seconds."""
    parse_time: ParseTime
    features: tuple[str, ...]
    labels: tuple[str, ...]
    """Columns of `y`; empty for a forecast."""
    is_class: bool
    """Classification: the label is a name, not a number."""

    def rows(self) -> Iterator[Row]:
        """Every line as a sample, late ones included.

        Raises
        ------
        CsvError
            A cell cannot be read.
        """
        x_at = [self.header.index(name) for name in self.features]
        y_at = [self.header.index(name) for name in self.labels]
        t_at = self.header.index(self.time_column) if self.time_column is not None else None
        with _opened(self.path, self.delimiter) as reader:
            next(reader)
            number = 0
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                number, line = number + 1, reader.line_num
                if len(cells) != len(self.header):
                    raise CsvError(
                        f"{self.path.name}, line {line}: {len(cells)} cells where the header names {len(self.header)}."
                    )
                x = [self._number(cells[at], line, at) for at in x_at]
                y: list[float | None] | str | None = None
                if self.is_class:
                    name = cells[y_at[0]].strip()
                    y = None if name.lower() in MISSING else name
                elif y_at:
                    y = [self._number(cells[at], line, at) for at in y_at]
                yield Row(line, float(number) if t_at is None else self._time(cells[t_at], line), x, y)

    def _time(self, cell: str, line: int) -> float:
        try:
            return self.parse_time(cell)
        except ValueError:
            raise CsvError(
                f"{self.path.name}, line {line}: column '{self.time_column}' holds '{cell}', which is not a time like "
                "the ones before it. Correct the line, or name another column with --time."
            ) from None

    def _number(self, cell: str, line: int, at: int) -> float | None:
        cell = cell.strip()
        if cell.lower() in MISSING:
            return None
        try:
            value = float(cell)
        except ValueError:
            value = math.inf
        if not math.isfinite(value):
            raise CsvError(
                f"{self.path.name}, line {line}: column '{self.header[at]}' holds '{cell}', which is not a finite "
                "number. Correct the line, leave the cell empty, or name the columns with --features."
            )
        return value


def plan_csv(
    path: Path,
    *,
    time_column: str | None = None,
    features: Sequence[str] = (),
    labels: Sequence[str] = (),
    is_class: bool = False,
) -> CsvPlan:
    """Decide how to read a file, from its header and first rows.

    Parameters
    ----------
    time_column, features
        Columns that the caller names; the others are guessed: the time by its name or its look, the features as all
        other columns that hold numbers.
    labels
        Columns of `y`, which are then no features.

    Raises
    ------
    CsvError
        The file is not there, is empty, lacks a column that was named, or holds no numbers.
    """
    delimiter = _delimiter(path)
    with _opened(path, delimiter) as reader:
        header = tuple(cell.strip() for cell in next(reader))
        head = [cells for cells in islice(reader, _LOOK_AHEAD) if len(cells) == len(header)]
    if not head:
        raise CsvError(f"{path.name} has a header but no rows like it; is '{delimiter}' what separates its columns?")
    for name in (*features, *labels, *([time_column] if time_column else [])):
        if name not in header:
            raise CsvError(f"{path.name} has no column '{name}'. It has: {', '.join(header)}.")
    columns = {name: [cells[at].strip() for cells in head] for at, name in enumerate(header)}
    candidates = [name for name in header if name not in features and name not in labels]
    time_column, parse_time = _time_column(path, columns, candidates, time_column)
    if not features:
        features = [
            name for name in header if name != time_column and name not in labels and _holds_numbers(columns[name])
        ]
    if not features:
        raise CsvError(f"{path.name} has no column of numbers besides the time. Name the columns with --features.")
    return CsvPlan(
        path=path,
        delimiter=delimiter,
        header=header,
        time_column=time_column,
        parse_time=parse_time,
        features=tuple(features),
        labels=tuple(labels),
        is_class=is_class,
    )


def _time_column(
    path: Path, columns: dict[str, list[str]], candidates: list[str], named: str | None
) -> tuple[str | None, ParseTime]:
    """The column of the time and how to read it; a name that says so goes before a look that does."""
    if named is not None:
        parse = _time_parser(columns[named])
        if parse is None:
            raise CsvError(
                f"{path.name}: column '{named}' cannot be read as times. Numbers of seconds and ISO 8601 text can."
            )
        return named, parse
    by_name = sorted(
        (name for name in candidates if name.lower() in _TIME_NAMES), key=lambda name: _TIME_NAMES.index(name.lower())
    )
    for name in by_name:
        parse = _time_parser(columns[name])
        if parse is not None:
            return name, parse
    for name in candidates:
        parse = None if _holds_numbers(columns[name]) else _time_parser(columns[name], at_least=1.0)
        if parse is not None:
            return name, parse
    return None, float


def _time_parser(cells: list[str], at_least: float = 0.5) -> ParseTime | None:
    """How these cells can be read as times: the reading that most of them allow and in which time runs forward.

    A few cells that it cannot read do not speak against it; they are reported, with their line, when they are read.
    """
    best: tuple[int, int] | None = None
    chosen: ParseTime | None = None
    for parse in (_numeric_time(cells), _iso_time, *map(_formatted_time, _TIME_FORMATS)):
        times = [time for cell in cells if (time := _read_time(parse, cell)) is not None]
        backward = sum(later < earlier for earlier, later in pairwise(times))
        if times and len(times) >= at_least * len(cells) and (best is None or (len(times), -backward) > best):
            best, chosen = (len(times), -backward), parse
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


def _holds_numbers(cells: list[str]) -> bool:
    """Whether every cell is a number or missing, and at least one is there."""
    present = [cell for cell in cells if cell.lower() not in MISSING]
    try:
        for cell in present:
            float(cell)
    except ValueError:
        return False
    return bool(present)


def _delimiter(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
    except FileNotFoundError:
        raise CsvError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CsvError(f"{path} cannot be read: {error}") from error
    if not header.strip():
        raise CsvError(f"{path.name} is empty; the first line must name the columns.")
    return max(",;\t", key=header.count)


@contextmanager
def _opened(path: Path, delimiter: str) -> Iterator[csv.reader]:  # type: ignore[valid-type]
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            yield reader
        except (csv.Error, UnicodeDecodeError) as error:
            raise CsvError(f"{path.name}, line {reader.line_num + 1}: {error}") from error


__all__ = ["CsvError", "CsvPlan", "Row", "plan_csv"]
