"""The real streams as series, each with the protocol by which it is scored.

Files are read as they were published, in a folder each; nothing is filled in, dropped or put in order. Times without a
zone count as UTC.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.evaluation import Series
from service.evaluation.series import Floats, Ints

Metric = Literal["mse", "mae", "accuracy", "auc"]
Mask = NDArray[np.bool_]

BIKE_DELAYS_MIN = (30, 60)


@dataclass(frozen=True)
class Stream:
    """A series and how it is scored."""

    series: Series
    metric: Metric
    horizons: tuple[int, ...] = ()
    """Rows ahead; empty where labels come from outside."""
    clamp: bool = False
    """Whether times may repeat or step back."""
    normalise_by: tuple[int, int] | None = None
    """Rows whose mean and spread are the units of the errors."""
    rows: tuple[int, int] | None = None
    """Rows that are scored."""
    windows: Mask | None = None
    """`(n,)`: whether a row lies in a labelled anomaly."""
    parts: dict[str, Mask] = field(default_factory=dict)
    """By name, rows `(n,)` that are also scored alone."""
    made_as: str = ""
    """What streams that differ by their seed only are called together."""

    @property
    def name(self) -> str:
        return self.made_as or self.series.name

    def first(self, count: int) -> Stream:
        """The stream as if it had ended after `count` rows.

        Where only later rows are scored, the second half is: it is no longer comparable with what was published.
        """
        if count >= len(self.series):
            return self
        series, rows, normalise_by = self.series, self.rows, self.normalise_by
        if rows is not None:
            rows = (min(rows[0], count // 2), min(rows[1], count))
        if normalise_by is not None:
            normalise_by = (normalise_by[0], min(normalise_by[1], count))
        cut = replace(
            series,
            t=series.t[:count],
            x=series.x[:count],
            y=None if series.y is None else series.y[:count],
            label_after=None if series.label_after is None else series.label_after[:count],
        )
        return replace(
            self,
            series=cut,
            rows=rows,
            normalise_by=normalise_by,
            windows=None if self.windows is None else self.windows[:count],
            parts={name: mask[:count] for name, mask in self.parts.items()},
        )


class MissingDataError(Exception):
    """A folder or file that is not there; the message names it."""


# --- forecasts -------------------------------------------------------------------------------------------------------


def wth(data: Path) -> list[Stream]:
    """Hourly weather, 12 variates: the first fifth trains, the last three quarters test (FSNet, OneNet)."""
    rows = list(_rows(data / "wth" / "WTH.csv"))
    names, n = tuple(rows[0])[1:], len(rows)
    series = _forecast("wth", [_american(row["date"]) for row in rows], _columns(rows, names), names)
    return [
        Stream(series, "mse", horizons=(1, 24, 48), normalise_by=(0, int(0.2 * n)), rows=(n - int(0.75 * n), n)),
    ]


def etth1(data: Path) -> list[Stream]:
    """Hourly transformer load and oil temperature, 7 variates: four months train, one validates, fifteen test."""
    rows = list(_rows(data / "ett" / "ETTh1.csv"))
    names, month = tuple(rows[0])[1:], 30 * 24
    series = _forecast("etth1", [_seconds(row["date"]) for row in rows], _columns(rows, names), names)
    return [
        Stream(series, "mse", horizons=(1, 24, 48), normalise_by=(0, 4 * month), rows=(5 * month, 20 * month)),
    ]


def metro(data: Path) -> list[Stream]:
    """Hourly road traffic with weather; hours that are there twice, gaps of up to ten months."""
    rows = list(_rows(data / "metro_traffic" / "Metro_Interstate_Traffic_Volume.csv"))
    names = ("traffic_volume", "temp", "rain_1h", "snow_1h", "clouds_all")
    times = [_seconds(row["date_time"]) for row in rows]
    series = _forecast("metro", times, _columns(rows, names), names, targets=names[:1])
    return [Stream(series, "mae", horizons=(1, 24), clamp=True)]


def beijing(data: Path) -> list[Stream]:
    """Hourly fine dust with weather, some two thousand values of it missing."""
    path = data / "beijing_pm25" / "PRSA_data_2010.1.1-2014.12.31.csv"
    rows = list(_rows(path, skip=1))
    names = ("pm2.5", "DEWP", "TEMP", "PRES", "Iws", "Is", "Ir")
    times = [_timestamp(*(int(row[part]) for part in ("year", "month", "day", "hour"))) for row in rows]
    series = _forecast("beijing", times, _columns(rows, names), names, targets=names[:1])
    return [Stream(series, "mae", horizons=(1, 24))]


def tetouan(data: Path) -> list[Stream]:
    """Power demand of three zones of a town with weather, every ten minutes."""
    rows = list(_rows(data / "tetouan" / "tetouan_power.csv"))
    zones = ("Zone1", "Zone2", "Zone3")
    names = (*zones, *tuple(rows[0])[1:6])
    times = [_american(row["Date"]) for row in rows]
    return [
        Stream(_forecast("tetouan", times, _columns(rows, names), names, targets=zones), "mae", horizons=(1, 24)),
    ]


# --- labels from outside ---------------------------------------------------------------------------------------------


def bikes(data: Path) -> list[Stream]:
    """Bikes at five stations after each event there, from weather; known 30 or 60 minutes later: a stream for each."""
    path = data / "toulouse_bikes" / "toulouse_bikes.zip"
    if not path.exists():
        raise MissingDataError(f"{path} is not there")
    names = ("clouds", "humidity", "pressure", "temperature", "wind")
    with zipfile.ZipFile(path) as archive, archive.open("toulouse_bikes.csv") as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8")))
    stations: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        stations.setdefault(row["station"], []).append(row)
    streams = []
    for delay in BIKE_DELAYS_MIN:
        for station, events in sorted(stations.items()):
            t = np.array([_seconds(row["moment"]) for row in events])
            series = Series(
                name=f"bikes{delay}_{station}",
                t=t,
                x=_columns(events, names),
                y=_columns(events, ("bikes",)),
                features=names,
                targets=("bikes",),
                label_after=label_after(t, 60.0 * delay),
            )
            streams.append(Stream(series, "mae", clamp=True))
    return streams


def label_after(t: Floats, delay_s: float) -> Ints:
    """`(n,)`: the first row that comes at least `delay_s` seconds after each; n where there is none.

    A row that comes back in time comes with the newest time so far.
    """
    clock = np.maximum.accumulate(t)
    after = np.searchsorted(clock, clock + delay_s, side="left")
    return np.maximum(after, np.arange(len(t)) + 1).astype(np.int64)


def elec2(data: Path) -> list[Stream]:
    """Whether the price of electricity goes up or down, every half hour."""
    rows = list(_rows(data / "elec2" / "electricity_moa.csv"))
    names = tuple(rows[0])[:-1]
    series = Series(
        name="elec2",
        t=np.arange(len(rows), dtype=np.float64) * 1800.0,
        x=_columns(rows, names),
        y=_columns(rows, ("class",)),
        features=names,
        targets=(),
        classes=("0", "1"),
    )
    return [Stream(series, "accuracy")]


# --- anomalies -------------------------------------------------------------------------------------------------------


def nab(data: Path) -> list[Stream]:
    """Seven streams with anomalies of known cause, and the windows that were labelled in them."""
    folder = data / "nab" / "data" / "realKnownCause"
    if not folder.is_dir():
        raise MissingDataError(f"{folder} is not there")
    labelled = json.loads((data / "nab" / "labels" / "combined_windows.json").read_text())
    streams = []
    for path in sorted(folder.glob("*.csv")):
        rows = list(_rows(path))
        times = [_seconds(row["timestamp"]) for row in rows]
        series = _forecast(f"nab_{path.stem}", times, _columns(rows, ("value",)), ("value",))
        windows = np.zeros(len(rows), dtype=np.bool_)
        for start, end in labelled[f"realKnownCause/{path.name}"]:
            windows |= (series.t >= _seconds(start)) & (series.t <= _seconds(end))
        # The benchmark's own probation: errors are told in units of what the stream did in it.
        probation = (0, int(0.15 * len(rows)))
        streams.append(Stream(series, "auc", horizons=(1,), clamp=True, normalise_by=probation, windows=windows))
    return streams


# --- reading ---------------------------------------------------------------------------------------------------------


def _rows(path: Path, skip: int = 0) -> Iterator[dict[str, str]]:
    if not path.exists():
        raise MissingDataError(f"{path} is not there")
    with path.open(newline="", encoding="utf-8-sig") as file:
        for _ in range(skip):
            next(file)
        yield from csv.DictReader(file)


def _columns(rows: Sequence[dict[str, str]], names: Sequence[str]) -> Floats:
    cells = [[row[name] for name in names] for row in rows]
    return np.array([[np.nan if cell in ("", "NA") else float(cell) for cell in line] for line in cells])


def _forecast(
    name: str, times: Sequence[float], x: Floats, features: Sequence[str], targets: Sequence[str] = ()
) -> Series:
    return Series(name, np.array(times), x, None, tuple(features), tuple(targets) or tuple(features))


def _seconds(text: str) -> float:
    """Of a time such as `2016-07-01 00:00:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _american(text: str) -> float:
    """Of a time such as `1/31/2010 0:00`, the year with two digits or four."""
    date, _, clock = text.partition(" ")
    month, day, year = (int(part) for part in date.split("/"))
    hour, minute = (int(part) for part in clock.split(":"))
    return _timestamp(year if year > 99 else 2000 + year, month, day, hour, minute)


def _timestamp(year: int, month: int, day: int, hour: int, minute: int = 0) -> float:
    return datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()


#: By name, what reads the streams of a data set.
LOADERS: dict[str, Callable[[Path], list[Stream]]] = {
    "wth": wth,
    "etth1": etth1,
    "bikes": bikes,
    "metro": metro,
    "beijing": beijing,
    "tetouan": tetouan,
    "elec2": elec2,
    "nab": nab,
}

__all__ = ["BIKE_DELAYS_MIN", "LOADERS", "Mask", "Metric", "MissingDataError", "Stream", "label_after"]
