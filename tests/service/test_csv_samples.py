"""CSV files as samples: what is guessed, what is said, and what is refused with its line number."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.csv_samples import CsvError, plan_csv


@pytest.fixture
def csv(tmp_path):
    """Writes a file and returns its path."""

    def write(text: str, name: str = "data.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_time_and_the_numbers_are_found(csv):
    """The time is known by its name, the features are the other columns of numbers."""
    plan = plan_csv(
        csv("site,Time,flow,pressure\nA,2022-03-20T11:00:00+01:00,1.5,2\nB,2022-03-20T12:00:00+01:00,1.6,\n")
    )
    assert (plan.time_column, plan.features) == ("Time", ("flow", "pressure"))
    assert [row.x for row in plan.rows()] == [[1.5, 2.0], [1.6, None]]
    assert [row.t for row in plan.rows()] == [1647770400.0, 1647774000.0]


def test_the_time_is_found_by_its_look(csv):
    """A column of dates is the time, whatever it is called."""
    assert plan_csv(csv("wann,v\n20.03.2022 11:00,1\n20.03.2022 12:00,2\n")).time_column == "wann"


def test_without_a_time_the_rows_count(csv):
    """A file without times is read as one sample a second."""
    plan = plan_csv(csv("a,b\n1,2\n3,4\n"))
    assert plan.time_column is None
    assert [row.t for row in plan.rows()] == [1.0, 2.0]


@pytest.mark.parametrize(
    "cell", ["1647770400", "1647770400000", "1647770400000000", "2022-03-20T10:00:00Z", "2022-03-20 10:00"]
)
def test_times_are_read_in_many_ways(csv, cell):
    """Seconds, milli- and microseconds since the epoch, and text; without a zone it is UTC."""
    (row,) = plan_csv(csv(f"t,v\n{cell},1\n")).rows()
    assert row.t == 1647770400.0


def test_day_and_month_are_told_apart_by_the_rows(csv):
    """02/03 is March when only then time runs forward."""
    plan = plan_csv(csv("date,v\n28/02/2022,1\n01/03/2022,2\n02/03/2022,3\n"))
    days = [datetime.fromtimestamp(row.t, UTC).strftime("%d %b") for row in plan.rows()]
    assert days == ["28 Feb", "01 Mar", "02 Mar"]


@pytest.mark.parametrize("cell", ["", "NA", "nan", "null", "None", "-", "?"])
def test_missing_values_become_none(csv, cell):
    """All the usual ways to leave a value out mean the same."""
    (_, row) = plan_csv(csv(f"t,a,b\n1,1,1\n2,{cell},2\n")).rows()
    assert row.x == [None, 2.0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_found(csv, delimiter):
    """Commas, semicolons and tabs are told apart by the header."""
    text = "\n".join(delimiter.join(cells) for cells in (["t", "a", "b"], ["1", "2", "3"]))
    assert plan_csv(csv(text)).features == ("a", "b")


def test_named_columns_win(csv):
    """What the caller names is taken, in that order."""
    plan = plan_csv(csv("t,a,b,when\n9,1,2,5\n8,1,2,6\n"), time_column="when", features=["b", "a"])
    assert [(row.t, row.x) for row in plan.rows()] == [(5.0, [2.0, 1.0]), (6.0, [2.0, 1.0])]


def test_labels_are_no_features(csv):
    """A column that is predicted is not given away."""
    plan = plan_csv(csv("t,a,y\n1,2,3\n"), labels=["y"])
    assert plan.features == ("a",)
    assert [row.y for row in plan.rows()] == [[3.0]]


def test_classes_are_names(csv):
    """A class stays text, also where it looks like a number; an empty one is no label."""
    plan = plan_csv(csv("t,a,kind\n1,2,07\n2,2,\n"), labels=["kind"], is_class=True)
    assert [row.y for row in plan.rows()] == ["07", None]


def test_a_byte_order_mark_is_not_part_of_a_name(csv):
    """Files written by spreadsheets begin with one."""
    assert plan_csv(csv("\ufefft,a\n1,2\n")).time_column == "t"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("t,a\n", "no rows"),
        ("t,name\n1,x\n2,y\n", "no column of numbers"),
        ("t,a\n1,2\n2,3,4\n", r"line 3: 3 cells where the header names 2"),
        ("t,a\n1,2\n\nlater,3\n", r"line 4: column 't' holds 'later'"),
        ("t,a\n1,2\n2,inf\n", r"line 3: column 'a' holds 'inf', which is not a finite number"),
    ],
)
def test_what_cannot_be_read_is_named(csv, text, message):
    """An error says which line or column it was."""
    with pytest.raises(CsvError, match=message):
        list(plan_csv(csv(text)).rows())


def test_a_bad_number_far_down_is_found_with_its_line(csv):
    """The look ahead does not see line 700; reading does."""
    text = "t,a\n" + "".join(f"{n},{n}\n" for n in range(698)) + "698,oops\n"
    with pytest.raises(CsvError, match=r"line 700: column 'a' holds 'oops'"):
        list(plan_csv(csv(text)).rows())


def test_a_column_that_is_not_there_is_answered_with_those_that_are(csv):
    """A typing error is easily corrected."""
    with pytest.raises(CsvError, match=r"no column 'flwo'. It has: t, flow"):
        plan_csv(csv("t,flow\n1,2\n"), features=["flwo"])


def test_a_file_that_is_not_there(tmp_path):
    """The message is the path, not a traceback."""
    with pytest.raises(CsvError, match="there is no file"):
        plan_csv(tmp_path / "nothing.csv")


@given(
    start=st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
    gaps=st.lists(st.integers(1, 10**7), min_size=1, max_size=20),
)
def test_iso_times_come_back_exactly(tmp_path_factory, start, gaps):
    """Whatever ISO 8601 time is written is the time that is read."""
    moments = [start]
    for gap in gaps:
        moments.append(moments[-1] + timedelta(seconds=gap))
    path = tmp_path_factory.mktemp("iso") / "iso.csv"
    path.write_text("time,v\n" + "".join(f"{moment.isoformat()},1\n" for moment in moments))
    assert [row.t for row in plan_csv(path).rows()] == [moment.timestamp() for moment in moments]


def test_a_title_before_the_header_is_skipped(csv):
    """A first line that does not have the columns of the others is no header; lines are still counted from the top."""
    plan = plan_csv(csv("Readings of 2010\n\nt,a,b\n1,2,3\n2,3,4\n3,x,5\n"), features=["a"])
    assert (plan.titles, plan.header) == (2, ("t", "a", "b"))
    with pytest.raises(CsvError, match="line 6: column 'a' holds 'x'"):
        list(plan.rows())


def test_a_time_in_several_columns_is_put_together(csv):
    """Year, month, day and hour are the time, and no features."""
    text = "No,year,month,day,hour,v\n1,2010,1,1,23,5\n2,2010,1,2,0,6\n"
    for plan in (plan_csv(csv(text)), plan_csv(csv(text), time_column="year,month,day,hour")):
        assert (plan.time_from, plan.features) == ("year month day hour", ("No", "v"))
        assert [row.t for row in plan.rows()] == [1262386800.0, 1262390400.0]


def test_a_time_that_is_not_one_is_named(csv):
    """The thirtieth of February."""
    head = "year,month,day,v\n" + "2010,2,1,1\n" * 600
    with pytest.raises(CsvError, match="line 602: column 'year month day' holds '2010 2 30'"):
        list(plan_csv(csv(head + "2010,2,30,1\n")).rows())


@pytest.mark.parametrize(
    ("form", "second"), [("{m}/{d}/{y} {h}:00", "1/1/17 1:00"), ("{d}.{m}.{y} {h}:00", "1.1.17 1:00")]
)
def test_years_may_have_two_digits(csv, form, second):
    """Three days by the hour: day and month are told apart by the gaps, where both readings run forward."""
    moments = [datetime(2017, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(72)]
    cells = [form.format(m=at.month, d=at.day, y=at.strftime("%y"), h=at.hour) for at in moments]
    assert cells[1] == second
    plan = plan_csv(csv("date,v\n" + "".join(f"{cell},1\n" for cell in cells)))
    assert [row.t for row in plan.rows()] == [at.timestamp() for at in moments]


def test_what_is_left_out_is_told(csv):
    """Columns of words and columns without a name are no features unless they are named."""
    plan = plan_csv(csv(",t,site,a\n0,1,north,2\n1,2,south,3\n"))
    assert (plan.features, plan.left_out) == (("a",), ("", "site"))


def test_a_header_without_the_name_of_the_first_column_fits(csv):
    """As R writes row names."""
    plan = plan_csv(csv('"t","a"\n"1",5,2\n"2",6,3\n'))
    assert [(row.t, row.x) for row in plan.rows()] == [(5.0, [2.0]), (6.0, [3.0])]


def test_packed_files_are_read(tmp_path):
    """gzip and zip, known by their ending."""
    text = b"t,a\n1,2\n2,3\n"
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("readme.md", "nothing")
        archive.writestr("data.csv", text)
    for name in ("data.csv.gz", "data.zip"):
        assert [row.x for row in plan_csv(tmp_path / name).rows()] == [[2.0], [3.0]]
