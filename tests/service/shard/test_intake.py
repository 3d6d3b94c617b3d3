"""Times, missing values and labels as clients write them."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.messages import LabelValue
from service.problems import Problem
from service.shard import intake

from .conftest import tiny


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-01-31T12:00:00Z", 1769860800.0),
        ("2026-01-31T13:00:00+01:00", 1769860800.0),
        ("2026-01-31T06:30:00-05:30", 1769860800.0),
        ("2026-01-31 12:00:00.25Z", 1769860800.25),
        ("1969-12-31T23:59:59Z", -1.0),
    ],
)
def test_a_time_may_be_text_with_its_offset(text: str, seconds: float) -> None:
    """RFC 3339; the same moment is the same number."""
    assert intake.seconds(text) == seconds


@pytest.mark.parametrize("t", [0, 1.5, -3.25, 1769860800])
def test_a_time_may_be_a_number(t: float) -> None:
    """It stays as it is."""
    assert intake.seconds(t) == t


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00", "2026-01-31", "2026-01-31T12:00"])
def test_text_without_an_offset_is_refused(text: str) -> None:
    """It would mean another moment on every machine."""
    with pytest.raises(Problem, match="offset") as refused:
        intake.seconds(text)
    assert refused.value.code == "invalid"


@pytest.mark.parametrize("text", ["", "now", "1769860800", "2026-02-30T00:00:00Z", "2026-01-31T25:00:00Z", "12:00Z"])
def test_other_text_is_refused(text: str) -> None:
    """With an example of what would do."""
    with pytest.raises(Problem, match="2026-01-31T12:00:00Z") as refused:
        intake.seconds(text)
    assert refused.value.code == "invalid"


@given(
    moment=st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),
    offset=st.integers(-23 * 60, 23 * 60),
)
def test_the_offset_does_not_matter(moment: datetime, offset: int) -> None:
    """From the first to the last year."""
    there = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=offset)))
    assert intake.seconds(there.isoformat()) == moment.replace(tzinfo=UTC).timestamp()


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_a_problem(text: str) -> None:
    """Never another error."""
    with suppress(Problem):
        assert math.isfinite(intake.seconds(text))


def test_null_is_a_missing_value() -> None:
    """The core's word for it is NaN."""
    one, missing, two = intake.values([1, None, 2.5])
    assert (one, two) == (1.0, 2.5)
    assert math.isnan(missing)


@pytest.mark.parametrize(("y", "core"), [(1.5, (1.5,)), (2, (2.0,)), ([1.5], (1.5,)), ([1.0, 2.0], (1.0, 2.0))])
def test_a_regressions_label_is_numbers(y: LabelValue, core: tuple[float, ...]) -> None:
    """One alone, or a list; how many there must be, admission knows."""
    assert intake.label(y, tiny("regression")) == core


def test_a_classifications_label_is_a_class() -> None:
    """The core counts classes in the spec's order."""
    spec = tiny("classification")
    assert [intake.label(name, spec) for name in spec.classes] == [(0.0,), (1.0,), (2.0,)]


@pytest.mark.parametrize(
    ("task", "y"),
    [("classification", "unheard"), ("classification", 1.0), ("classification", [0.0]), ("regression", "calm")],
)
def test_another_kind_of_label_is_refused(task: str, y: LabelValue) -> None:
    """And not quoted: it may be private."""
    with pytest.raises(Problem, match="label") as refused:
        intake.label(y, tiny(task))
    assert refused.value.code == "label_invalid"
    assert "unheard" not in refused.value.detail
