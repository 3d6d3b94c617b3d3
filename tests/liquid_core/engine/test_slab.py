"""The slab: rows of streams in slots."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from liquid_core import ShapeError
from liquid_core.engine import Slab, StateLayout
from liquid_core.engine.slab import INITIAL_CAPACITY
from liquid_core.learner import ArraySpec
from liquid_core.types import ByteArray

LAYOUT = StateLayout({"value": ArraySpec(np.float64), "more": ArraySpec(np.float32, (3,))})


def row_of(value: float) -> ByteArray:
    row = LAYOUT.initial_row()
    LAYOUT.views(row[None])["value"][0] = value
    return row


def test_growth_keeps_rows() -> None:
    """More streams than there was room for: every one is where its slot says."""
    slab = Slab(LAYOUT)
    slots = [slab.load(row_of(n)) for n in range(5 * INITIAL_CAPACITY)]

    assert len(set(slots)) == len(slots) == len(slab)
    for n, slot in enumerate(slots):
        np.testing.assert_array_equal(slab.read(slot), row_of(n))
    assert slab.num_bytes >= len(slab) * LAYOUT.row_bytes


def test_a_freed_slot_is_used_again() -> None:
    """Streams that come and go do not make the slab grow."""
    slab = Slab(LAYOUT)
    size = slab.num_bytes
    for n in range(10 * INITIAL_CAPACITY):
        slab.free(slab.load(row_of(n)))

    assert len(slab) == 0
    assert slab.num_bytes == size


def test_a_row_that_was_read_is_a_copy() -> None:
    """Writing to it leaves the stream as it is, and the row that was loaded is copied too."""
    slab, row = Slab(LAYOUT), row_of(1.0)
    slot = slab.load(row)
    row[:] = 7
    slab.read(slot)[:] = 9

    np.testing.assert_array_equal(slab.read(slot), row_of(1.0))


@pytest.mark.parametrize("shape", [(LAYOUT.row_bytes - 1,), (LAYOUT.row_bytes + 64,), (1, LAYOUT.row_bytes), (0,)])
def test_a_row_of_the_wrong_size_is_refused(shape: tuple[int, ...]) -> None:
    """It belongs to another spec."""
    slab = Slab(LAYOUT)

    with pytest.raises(ShapeError, match=f"`row` must hold {LAYOUT.row_bytes} bytes"):
        slab.load(np.zeros(shape, dtype=np.uint8))
    assert len(slab) == 0


class SlabMachine(RuleBasedStateMachine):
    """Loads and frees in any order, beside a plain dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.slab = Slab(LAYOUT)
        self.values: dict[int, float] = {}

    @rule(values=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20))
    def load(self, values: list[float]) -> None:
        for value in values:
            slot = self.slab.load(row_of(value))
            assert slot not in self.values
            self.values[slot] = value

    @precondition(lambda self: self.values)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.values)))
        self.slab.free(slot)
        del self.values[slot]

    @invariant()
    def holds_every_stream(self) -> None:
        assert len(self.slab) == len(self.values)
        for slot, value in self.values.items():
            assert self.slab.layout.views(self.slab.rows)["value"][slot] == value


TestSlabMachine = SlabMachine.TestCase
TestSlabMachine.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
