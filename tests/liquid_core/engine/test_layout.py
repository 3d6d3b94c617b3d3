"""The layout: where the arrays of a stream lie in its row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.engine import StateLayout
from liquid_core.engine.layout import ALIGNMENT
from liquid_core.learner import ArraySpec

dtypes = st.sampled_from([np.float64, np.float32, np.int64, np.bool_, np.uint8])
arrays = st.builds(ArraySpec, dtypes, st.lists(st.integers(0, 5), max_size=3).map(tuple), st.sampled_from([0.0, 1.0]))
layouts = st.dictionaries(st.text("abc.", min_size=1, max_size=4), arrays, min_size=1, max_size=6).map(StateLayout)


@given(layouts)
def test_arrays_are_aligned_and_do_not_overlap(layout: StateLayout) -> None:
    """Each starts at a multiple of `ALIGNMENT`, behind the one before, and the row holds them all."""
    end = 0
    for field in layout.fields:
        assert field.offset % ALIGNMENT == 0
        assert field.offset >= end
        end = field.offset + field.num_bytes

    assert end <= layout.row_bytes
    assert layout.row_bytes % ALIGNMENT == 0


@given(layouts, st.integers(1, 4))
def test_views_write_through_to_their_own_bytes(layout: StateLayout, batch: int) -> None:
    """What is written to a view is in the row, and in no other array's place."""
    rows = np.zeros((batch, layout.row_bytes), dtype=np.uint8)
    views = layout.views(rows)
    for number, view in enumerate(views.values(), start=1):
        view[...] = np.frombuffer(bytes([number]) * view.itemsize, dtype=view.dtype)[0]

    expected = np.zeros_like(rows)
    for number, field in enumerate(layout.fields, start=1):
        expected[:, field.offset : field.offset + field.num_bytes] = 1 if field.dtype == np.bool_ else number
    np.testing.assert_array_equal(rows, expected)
    for field in layout.fields:
        assert views[field.name].shape == (batch, *field.shape)
        assert views[field.name].dtype == field.dtype


@given(layouts)
def test_a_fresh_row_holds_the_initial_values(layout: StateLayout) -> None:
    """Every entry of an array starts from what its part says; padding is zero, so that rows compare as bytes."""
    row = layout.initial_row()
    views = layout.views(row[None])

    for field in layout.fields:
        assert (views[field.name] == np.asarray(field.initial, dtype=field.dtype)).all()
    used = sum(field.num_bytes for field in layout.fields)
    assert np.count_nonzero(row) <= used


def test_rows_do_not_touch() -> None:
    """A view of many rows reaches each by its own stride."""
    layout = StateLayout({"a": ArraySpec(np.float64, (2,)), "b": ArraySpec(np.int64)})
    rows = np.zeros((3, layout.row_bytes), dtype=np.uint8)
    layout.views(rows)["a"][1] = [1.0, 2.0]

    assert not rows[[0, 2]].any()
    assert layout.views(rows[1:2])["a"].tolist() == [[1.0, 2.0]]


def test_a_field_is_found_by_name() -> None:
    """A name that is none raises."""
    layout = StateLayout({"a": ArraySpec(np.float32, (3, 2))})

    assert (layout.field("a").shape, layout.field("a").num_bytes) == ((3, 2), 24)
    with pytest.raises(KeyError):
        layout.field("b")
