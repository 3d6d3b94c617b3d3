"""Replay: what the first reading of a file finds, which rows are sent, and what is said about them."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from service.csv_samples import CsvError, plan_csv
from service.replay import describe_plan, in_order, take_census


def plan(folder, times, **columns):
    """A plan for a file with these times, and an `a` that counts."""
    path = folder / "data.csv"
    path.write_text("t,a\n" + "".join(f"{t},{n}\n" for n, t in enumerate(times)))
    return plan_csv(path, **columns)


def test_repeated_and_late_rows_are_counted_with_their_lines(tmp_path):
    """A time that does not lie after the one before is no sample."""
    census = take_census(plan(tmp_path, [1, 2, 2, 5, 3, 6]))
    assert (census.rows, census.out_of_order) == (4, [4, 6])
    assert (census.first_t, census.last_t) == (1.0, 6.0)


@given(times=st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_what_is_sent_is_what_was_counted(tmp_path_factory, times):
    """The rows that are sent move forward in time and are as many as the census says."""
    made = plan(tmp_path_factory.mktemp("rows"), times, time_column="t")
    sent = [row.t for row in in_order(made, None)]
    assert sent == sorted(set(sent))
    assert len(sent) == take_census(made).rows


def test_a_second_replay_begins_behind_what_is_there(tmp_path):
    """Rows up to the stream's last time are left out."""
    assert [row.t for row in in_order(plan(tmp_path, [1, 2, 3, 4]), 2.0)] == [3.0, 4.0]


def test_missing_values_and_classes_are_counted(tmp_path):
    """The census has the classes of the whole file, sorted."""
    path = tmp_path / "data.csv"
    path.write_text("t,a,kind\n1,,open\n2,3,shut\n3,,\n4,4,ajar\n")
    census = take_census(plan_csv(path, labels=["kind"], is_class=True))
    assert (census.missing_values, census.classes) == (2, ["ajar", "open", "shut"])


def test_a_bad_line_stops_before_anything_is_sent(tmp_path):
    """The census reads to the end."""
    path = tmp_path / "data.csv"
    path.write_text("t,a\n" + "".join(f"{n},{n}\n" for n in range(1000)) + "1000,x\n")
    with pytest.raises(CsvError, match="line 1002"):
        take_census(plan_csv(path))


def test_the_choices_are_told(tmp_path):
    """Which column is the time, what are features, and what is skipped."""
    console = Console(width=120, record=True, file=io.StringIO())
    made = plan(tmp_path, [1647770400, 1647774000, 1647774000])
    describe_plan(made, take_census(made), console)
    text = console.export_text()
    assert "time from 't'" in text
    assert "features: a" in text
    assert "from 2022-03-20 10:00:00 UTC to 2022-03-20 11:00:00 UTC" in text
    assert "rows skipped for a repeated or late time: 1 (lines 4)" in text
