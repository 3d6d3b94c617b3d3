"""Lines: cut as the text is, wherever the network cuts it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.api.lines import Lines

LIMIT = 5


@given(st.lists(st.text(alphabet="ab\r", max_size=9).map(str.encode)), st.booleans(), st.data())
def test_lines_do_not_depend_on_the_chunks(lines: list[bytes], closed: bool, data: st.DataObject) -> None:
    """Every line comes once, in order; those that are too long as `None`."""
    body = b"\n".join(lines) + (b"\n" if closed and lines else b"")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    chunks = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    cutter = Lines(LIMIT)
    found = [line for chunk in chunks for line in cutter.feed(chunk)] + list(cutter.end())
    expected = body.split(b"\n")
    if expected[-1] == b"":
        del expected[-1]
    assert found == [line if len(line) <= LIMIT else None for line in expected]


def test_a_line_without_an_end_is_not_kept() -> None:
    """However much of it comes."""
    cutter = Lines(LIMIT)
    for _ in range(100):
        assert list(cutter.feed(b"x" * 1000)) == []
        assert len(cutter._begun) <= LIMIT
    assert list(cutter.feed(b"\nab\n")) == [None, b"ab"]
