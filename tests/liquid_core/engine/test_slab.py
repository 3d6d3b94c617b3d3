"""The slab: rows of streams in slots."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from liquid_core import ShapeError, SlabFullError
from liquid_core.engine import Slab, StateLayout
from liquid_core.engine.slab import FIRST_ROWS
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
    slots = [slab.load(row_of(n)) for n in range(5 * FIRST_ROWS)]

    assert len(set(slots)) == len(slots) == len(slab)
    for n, slot in enumerate(slots):
        np.testing.assert_array_equal(slab.read(slot), row_of(n))
    assert slab.num_bytes == len(slab) * LAYOUT.row_bytes


def test_rows_stay_where_they_are_once_there_are_many() -> None:
    """Only the first few are ever copied: the array that engines see is the same from then on."""
    slab = Slab(LAYOUT)
    for n in range(FIRST_ROWS + 1):
        slab.load(row_of(n))
    rows = slab.rows
    for n in range(20 * FIRST_ROWS):
        slab.load(row_of(n))

    assert slab.rows is rows


def test_a_freed_slot_is_used_again() -> None:
    """Streams that come and go do not make the slab grow."""
    slab = Slab(LAYOUT)
    for n in range(10 * FIRST_ROWS):
        slab.free(slab.load(row_of(n)))

    assert len(slab) == slab.num_bytes == 0
    assert len(slab.rows) == FIRST_ROWS


def test_a_full_slab_refuses_a_stream_and_keeps_the_others() -> None:
    """It holds as many as it was made for, and takes another one as soon as one has gone."""
    slab = Slab(LAYOUT, max_rows=FIRST_ROWS + 3)
    slots = [slab.load(row_of(n)) for n in range(FIRST_ROWS + 3)]
    with pytest.raises(SlabFullError, match=f"holds {FIRST_ROWS + 3} streams"):
        slab.load(row_of(-1))
    slab.free(slots[5])

    assert slab.load(row_of(7)) == slots[5]
    np.testing.assert_array_equal(slab.read(slots[-1]), row_of(FIRST_ROWS + 2))


def test_a_slab_makes_do_with_the_addresses_that_there_are() -> None:
    """More rows than the system has addresses for are asked for; it holds what is needed."""
    slab = Slab(LAYOUT, max_rows=2**60)
    slots = [slab.load(row_of(n)) for n in range(2 * FIRST_ROWS)]

    np.testing.assert_array_equal(slab.read(slots[-1]), row_of(2 * FIRST_ROWS - 1))


def resident_bytes() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system takes freed pages when it needs them")
@pytest.mark.parametrize("row_bytes", [1024, 33_024, 400_000])
@pytest.mark.parametrize("keep", [0, 64])
def test_freed_memory_goes_back_to_the_system(row_bytes: int, keep: int) -> None:
    """Row by row, whichever are freed, in any order; rows that stay keep what they hold."""
    layout = StateLayout({"values": ArraySpec(np.uint8, (row_bytes,))})
    slab, count = Slab(layout), 2**26 // layout.row_bytes
    before = resident_bytes()
    slots = [slab.load(np.full(layout.row_bytes, 1 + n % 200, dtype=np.uint8)) for n in range(count)]
    full = resident_bytes()
    kept = set(slots[:: count // keep]) if keep else set()
    for slot in np.random.default_rng(1).permutation(slots).tolist():
        if slot not in kept:
            slab.free(slot)
    after = resident_bytes()

    assert full - before > 0.9 * 2**26
    stays = len(kept) * (layout.row_bytes + 2 * mmap.PAGESIZE)
    assert after - before < stays + 0.25 * 2**26
    for slot in kept:
        assert (slab.read(slot) == 1 + slot % 200).all()


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
    """Loads and frees in any order, beside a plain dictionary; many rows lie on one page."""

    def __init__(self) -> None:
        super().__init__()
        self.slab = Slab(LAYOUT)
        self.values: dict[int, float] = {}

    @rule(values=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60))
    def load(self, values: list[float]) -> None:
        for value in values:
            slot = self.slab.load(row_of(value))
            assert slot not in self.values
            self.values[slot] = value

    @precondition(lambda self: self.values)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        for slot in data.draw(st.sets(st.sampled_from(sorted(self.values)), min_size=1)):
            self.slab.free(slot)
            del self.values[slot]

    @invariant()
    def holds_every_stream(self) -> None:
        assert len(self.slab) == len(self.values)
        for slot, value in self.values.items():
            assert self.slab.layout.views(self.slab.rows)["value"][slot] == value


TestSlabMachine = SlabMachine.TestCase
TestSlabMachine.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
