"""Real streams are read as they were published; a folder that is not there is skipped."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.data import LOADERS, MissingDataError, Stream, bikes, elec2, label_after, nab, wth
from benchmarks.accuracy.jobs import Job, Settings
from service.evaluation import Series

DATA = Path(__file__).parents[4] / "shared" / "data"
SHAPES = {
    "wth": (1, 35_064, 12),
    "etth1": (1, 17_420, 7),
    "bikes": (10, 182_470, 5),
    "metro": (1, 48_204, 5),
    "beijing": (1, 43_824, 7),
    "tetouan": (1, 52_416, 8),
    "elec2": (1, 45_312, 6),
    "nab": (7, 69_561, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADERS)
def test_a_real_data_set_has_its_shape(name: str) -> None:
    """And times never step back but where a clock was set, so that the service could take them."""
    try:
        streams = LOADERS[name](DATA)
    except MissingDataError as error:
        pytest.skip(str(error))
    count, rows, width = SHAPES[name]
    assert len(streams) == count
    assert {stream.series.x.shape[1] for stream in streams} == {width}
    assert sum(len(stream.series) for stream in streams) == rows * (2 if name == "bikes" else 1)
    for stream in streams:
        assert stream.clamp or (np.diff(stream.series.t) > 0).all()
        assert np.isfinite(stream.series.truth).mean() > 0.9


@pytest.mark.parametrize("name", LOADERS)
def test_a_missing_folder_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=str(tmp_path)):
        LOADERS[name](tmp_path)


def test_published_splits(tmp_path: Path) -> None:
    """WTH: the first fifth gives the units, the last three quarters are scored."""
    (tmp_path / "wth").mkdir()
    lines = [f"1/{day}/2010 {hour}:00,{hour},{day}" for day in range(1, 6) for hour in range(24)]
    (tmp_path / "wth" / "WTH.csv").write_text("date,a,b\n" + "\n".join(lines) + "\n")
    (stream,) = wth(tmp_path)
    assert stream.series.features == stream.series.targets == ("a", "b")
    assert (stream.normalise_by, stream.rows) == ((0, 24), (30, 120))
    assert np.diff(stream.series.t).tolist() == [3600.0] * 119
    assert stream.series.x[25].tolist() == [1.0, 2.0]


def test_a_label_comes_before_the_first_row_that_is_late_enough() -> None:
    t = np.array([0.0, 10.0, 10.0, 30.0, 45.0])
    assert label_after(t, 20.0).tolist() == [3, 3, 3, 5, 5]


def test_a_label_never_comes_with_its_own_row() -> None:
    """Even where the clock steps back and later rows count as simultaneous."""
    assert label_after(np.array([100.0, 50.0, 60.0]), 0.0).tolist() == [1, 2, 3]


def test_stations_are_streams(tmp_path: Path) -> None:
    (tmp_path / "toulouse_bikes").mkdir()
    rows = ["moment,bikes,station,clouds,description,humidity,pressure,temperature,wind"]
    rows += [f"2016-04-01 0{hour}:00:07,{hour},{name},75,rain,81,1017.0,6.5,9.3" for hour in range(4) for name in "ab"]
    with zipfile.ZipFile(tmp_path / "toulouse_bikes" / "toulouse_bikes.zip", "w") as archive:
        archive.writestr("toulouse_bikes.csv", "\n".join(rows) + "\n")
    streams = bikes(tmp_path)
    assert [stream.name for stream in streams] == ["bikes30_a", "bikes30_b", "bikes60_a", "bikes60_b"]
    series = streams[0].series
    assert series.y is not None
    assert series.y[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert series.label_after is not None
    assert series.label_after.tolist() == [1, 2, 3, 4]


def test_classes_are_indices(tmp_path: Path) -> None:
    (tmp_path / "elec2").mkdir()
    (tmp_path / "elec2" / "electricity_moa.csv").write_text("period,price,class\n0,0.5,1\n0.02,0.6,0\n")
    (stream,) = elec2(tmp_path)
    assert stream.series.task == "classification"
    assert stream.series.truth[:, 0].tolist() == [1.0, 0.0]


def test_labelled_windows_hold_their_ends(tmp_path: Path) -> None:
    folder = tmp_path / "nab" / "data" / "realKnownCause"
    folder.mkdir(parents=True)
    (tmp_path / "nab" / "labels").mkdir()
    times = [f"2014-07-01 0{hour}:00:00" for hour in range(5)]
    (folder / "taxi.csv").write_text("timestamp,value\n" + "\n".join(f"{time},1" for time in times) + "\n")
    windows = f'{{"realKnownCause/taxi.csv": [["{times[1]}.000000", "{times[3]}.000000"]]}}'
    (tmp_path / "nab" / "labels" / "combined_windows.json").write_text(windows)
    (stream,) = nab(tmp_path)
    assert stream.windows is not None
    assert stream.windows.tolist() == [False, True, True, True, False]


def test_a_cut_stream_ends_sooner_and_scores_its_second_half() -> None:
    series = Series("s", np.arange(100.0), np.ones((100, 1)), None, ("a",), ("a",))
    cut = Stream(series, "mse", (1,), normalise_by=(0, 80), rows=(80, 100)).first(60)
    assert len(cut.series) == 60
    assert (cut.normalise_by, cut.rows) == ((0, 60), (30, 60))
    assert cut.first(60) is cut


def test_a_job_without_its_data_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"WTH\.csv"):
        Job("wth", "baselines").run(Settings(tmp_path))
