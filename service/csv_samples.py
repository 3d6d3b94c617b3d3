"""CSV files as samples: which column is the time, which are values, and what each row says.

Nothing is guessed silently: the plan names every choice, and the caller prints it. A cell that cannot be read is an
error that names its line, before anything is sent.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import TextIO

from service.csv_times import TIME_NAMES, TIME_PARTS, ParseTime, time_of_parts, time_parser

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
_LOOK_AHEAD = 500
#: Lines among which the header is looked for.
_HEADER_WITHIN = 20


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
    parse_time: ParseTime
    features: tuple[str, ...]
    labels: tuple[str, ...]
    """Columns of `y`; empty for a forecast."""
    is_class: bool
    """Classification: the label is a name, not a number."""
    time_parts: tuple[str, ...] = ()
    """Columns of year, month, day and so on, where they are the time together; then there is no `time_column`."""
    titles: int = 0
    """Lines before the header."""
    left_out: tuple[str, ...] = ()
    """Columns that no one named and that hold no numbers, or have no name."""

    @property
    def time_from(self) -> str | None:
        """What is the time, in words; `None`: the number of the row counts as seconds."""
        return self.time_column if self.time_column is not None else " ".join(self.time_parts) or None

    def rows(self) -> Iterator[Row]:
        """Every line as a sample, late ones included.

        Raises
        ------
        CsvError
            A cell cannot be read.
        """
        x_at = [self.header.index(name) for name in self.features]
        y_at = [self.header.index(name) for name in self.labels]
        parts = (self.time_column,) if self.time_column is not None else self.time_parts
        t_at = [self.header.index(name) for name in parts]
        with _opened(self.path, self.delimiter) as reader:
            for _ in range(self.titles + 1):
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
                yield Row(line, self._time([cells[at] for at in t_at], line) if t_at else float(number), x, y)

    def _time(self, cells: list[str], line: int) -> float:
        try:
            return time_of_parts(cells) if self.time_parts else self.parse_time(cells[0])
        except ValueError:
            raise CsvError(
                f"{self.path.name}, line {line}: column '{self.time_from}' holds '{' '.join(cells)}', which is not a "
                "time like "
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
        other columns that hold numbers. A time of several columns is named with commas: ``year,month,day,hour``.
    labels
        Columns of `y`, which are then no features.

    Raises
    ------
    CsvError
        The file is not there, is empty, lacks a column that was named, or holds no numbers.
    """
    delimiter = _delimiter(path)
    titles, header, head = _head(path, delimiter)
    if not head:
        raise CsvError(f"{path.name} has a header but no rows like it; is '{delimiter}' what separates its columns?")
    named = [time_column] if time_column in header else time_column.split(",") if time_column else []
    for name in (*features, *labels, *named):
        if name not in header:
            raise CsvError(f"{path.name} has no column '{name}'. It has: {', '.join(header)}.")
    columns = {name: [cells[at].strip() for cells in head] for at, name in enumerate(header)}
    candidates = [name for name in header if name not in features and name not in labels]
    time_parts = tuple(named) if len(named) > 1 else ()
    if not named and not any(name.lower() in TIME_NAMES for name in candidates):
        time_parts = _time_parts(columns, candidates)
    if time_parts:
        parse_time: ParseTime = float
        time_column = None
        _check_time_parts(path, columns, time_parts)
    else:
        time_column, parse_time = _time_column(path, columns, candidates, time_column)
    left_out: tuple[str, ...] = ()
    if not features:
        others = [name for name in header if name != time_column and name not in (*labels, *time_parts)]
        features = [name for name in others if name and _holds_numbers(columns[name])]
        left_out = tuple(name for name in others if name not in features)
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
        time_parts=time_parts,
        titles=titles,
        left_out=left_out,
    )


def _head(path: Path, delimiter: str) -> tuple[int, tuple[str, ...], list[list[str]]]:
    """How many lines stand before the header, the header, and the first rows that are like it.

    A line is no header while it has half the cells of most lines, or fewer. A header that lacks exactly the first name,
    as R writes it, gets an empty one.
    """
    with _opened(path, delimiter) as reader:
        lines = list(islice(reader, _LOOK_AHEAD + _HEADER_WITHIN))
    counts = Counter(len(cells) for cells in lines if len(cells) > 1)
    width = counts.most_common(1)[0][0] if counts else 1
    titles = 0
    while titles < min(_HEADER_WITHIN, len(lines) - 1) and 2 * len(lines[titles]) <= width:
        titles += 1
    header = tuple(cell.strip() for cell in lines[titles])
    rows = [cells for cells in lines[titles + 1 :] if any(cell.strip() for cell in cells)]
    if rows and all(len(cells) == len(header) + 1 for cells in rows):
        header = ("", *header)
    return titles, header, [cells for cells in rows if len(cells) == len(header)]


def _time_parts(columns: dict[str, list[str]], candidates: list[str]) -> tuple[str, ...]:
    """The columns of year, month, day, ... where there are such, in this order; else none."""
    by_name = {name.lower(): name for name in candidates}
    found = [by_name[part] for part in TIME_PARTS if part in by_name]
    if not all(part in by_name for part in TIME_PARTS[:3]) or not all(_holds_numbers(columns[name]) for name in found):
        return ()
    return tuple(found)


def _check_time_parts(path: Path, columns: dict[str, list[str]], names: tuple[str, ...]) -> None:
    if [name.lower() for name in names] != list(TIME_PARTS[: len(names)]) or len(names) < 3:
        raise CsvError(
            f"{path.name}: the time can be made of columns named {', '.join(TIME_PARTS)}, in this order and from the "
            f"first: got {', '.join(names)}."
        )
    for cells in zip(*(columns[name] for name in names), strict=True):
        try:
            time_of_parts(list(cells))
        except ValueError:
            raise CsvError(f"{path.name}: {' '.join(cells)} in {', '.join(names)} is not a time.") from None


def _time_column(
    path: Path, columns: dict[str, list[str]], candidates: list[str], named: str | None
) -> tuple[str | None, ParseTime]:
    """The column of the time and how to read it; a name that says so goes before a look that does."""
    if named is not None:
        parse = time_parser(columns[named])
        if parse is None:
            raise CsvError(
                f"{path.name}: column '{named}' cannot be read as times. Numbers of seconds and ISO 8601 text can."
            )
        return named, parse
    by_name = sorted(
        (name for name in candidates if name.lower() in TIME_NAMES), key=lambda name: TIME_NAMES.index(name.lower())
    )
    for name in by_name:
        parse = time_parser(columns[name])
        if parse is not None:
            return name, parse
    for name in candidates:
        parse = None if _holds_numbers(columns[name]) else time_parser(columns[name], at_least=1.0)
        if parse is not None:
            return name, parse
    return None, float


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
    """What separates the cells: what the first line has most of that is also in the line after it."""
    try:
        with _text(path) as file:
            lines = [line for line in islice(file, _HEADER_WITHIN) if line.strip()]
    except FileNotFoundError:
        raise CsvError(f"there is no file {path}") from None
    except (OSError, EOFError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise CsvError(f"{path} cannot be read: {error}") from error
    if not lines:
        raise CsvError(f"{path.name} is empty; the first line must name the columns.")
    for line, following in pairwise(lines):
        delimiter = max(",;\t", key=line.count)
        if 0 < line.count(delimiter) <= following.count(delimiter):
            return delimiter
    return max(",;\t", key=lines[0].count)


@contextmanager
def _opened(path: Path, delimiter: str) -> Iterator[csv.reader]:  # type: ignore[valid-type]
    with _text(path) as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            yield reader
        except (csv.Error, UnicodeDecodeError) as error:
            raise CsvError(f"{path.name}, line {reader.line_num + 1}: {error}") from error


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    """The file as text; of a gzip file what is in it, of a zip file the first table in it."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield file
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith((".csv", ".tsv", ".txt"))]
            if not names:
                raise CsvError(f"{path.name} holds no file whose name ends in .csv, .tsv or .txt.")
            with archive.open(names[0]) as packed:
                yield io.TextIOWrapper(packed, encoding="utf-8-sig", newline="")
    else:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file


__all__ = ["CsvError", "CsvPlan", "Row", "plan_csv"]
