"""Log entries and snapshots as bytes."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core import ModelSpec
from liquid_core.engine.records import Freeze, Label, Record, Reset, Restore, Sample, SpecChange, Unfreeze
from service.store.codec import (
    Snapshot,
    decode_entry,
    decode_snapshot,
    encode_entry,
    encode_snapshot,
    entry_position,
)
from service.store.errors import StoreCorrupt

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
VALUES = st.lists(st.floats(), max_size=6).map(tuple)
SAMPLES = st.builds(Sample, seq=U64, t=st.floats(), x=VALUES, y=st.none() | VALUES)
SPECS = st.builds(ModelSpec, task=st.just("forecast"), features=st.just(("a",)), horizon=st.integers(1, 9))
CONTROLS = st.one_of(
    *(st.builds(plain) for plain in (Reset, Freeze, Unfreeze)),
    st.builds(Restore, state=st.binary(max_size=200), keeps_numbers=st.booleans(), origin=st.text(max_size=9)),
    st.builds(SpecChange, spec=SPECS),
)
RECORDS = SAMPLES | st.builds(Label, seq=U64, y=VALUES) | CONTROLS
SNAPSHOTS = st.builds(
    Snapshot, stream_id=st.just("s"), incarnation=st.just("i"), position=U64, blob=st.binary(max_size=200)
)


@given(RECORDS, U64, U32)
def test_an_entry_comes_back_bit_for_bit(record: Record, position: int, epoch: int) -> None:
    """What is decoded encodes to the same bytes, NaN and minus zero included."""
    data = encode_entry(record, position, epoch)
    entry = decode_entry(data)
    assert (entry.position, entry.token_epoch, type(entry.record)) == (position, epoch, type(record))
    assert encode_entry(entry.record, entry.position, entry.token_epoch) == data
    assert repr(entry.record) == repr(record)


@given(RECORDS, U64, U32)
def test_the_position_is_where_the_scripts_read_it(record: Record, position: int, epoch: int) -> None:
    """The scripts unpack eight little-endian bytes from the ninth byte on."""
    data = encode_entry(record, position, epoch)
    assert entry_position(data) == int.from_bytes(data[8:16], "little") == position


@given(RECORDS, st.data())
def test_a_cut_entry_is_refused(record: Record, data: st.DataObject) -> None:
    """No beginning of an entry is an entry."""
    whole = encode_entry(record, 1, 1)
    with pytest.raises(StoreCorrupt):
        decode_entry(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(RECORDS, st.data())
def test_an_entry_with_a_changed_byte_is_refused(record: Record, data: st.DataObject) -> None:
    """Whichever byte is changed, the checksum tells."""
    damaged = _damaged(encode_entry(record, 1, 1), data)
    with pytest.raises(StoreCorrupt):
        decode_entry(damaged)


@given(st.binary(max_size=200))
def test_other_bytes_are_no_entry(noise: bytes) -> None:
    """Noise raises the store's own error and nothing else."""
    with pytest.raises(StoreCorrupt):
        decode_entry(noise)


def test_the_format_of_an_entry_stays() -> None:
    """A log written by one release is read by the next ones."""
    golden = bytes.fromhex(
        "010101000700000003000000000000000200000000000000000000000000044001000100cfb5d301000000000000f83f000000000000e0bf"
    )
    record = Sample(seq=2, t=2.5, x=(1.5,), y=(-0.5,))
    assert encode_entry(record, 3, 7) == golden
    assert decode_entry(golden).record == record


def test_the_format_of_a_control_stays() -> None:
    """Its payload is a msgpack map that names what it is."""
    data = encode_entry(Freeze(), 3, 7)
    assert data[40:] == b"\x0d\0\0\0" + b"\x81\xa4type\xa6freeze"
    assert decode_entry(data).record == Freeze()


@pytest.mark.parametrize(
    ("record", "at", "value", "message"),
    [
        (Label(seq=1, y=(1.0,)), 0, 2, "version 2"),
        (Label(seq=1, y=(1.0,)), 1, 9, "kind 9"),
        (Label(seq=1, y=(1.0,)), 32, 4, "length"),
        (Reset(), 40, 99, "length"),
        (Reset(), 50, 0, "control that this release cannot read"),
    ],
)
def test_an_entry_of_another_release_is_named_as_such(record: Record, at: int, value: int, message: str) -> None:
    """A whole entry with an unknown version, kind or control, or a length that is not its own, is refused with the
    reason."""
    data = bytearray(encode_entry(record, 1, 1))
    data[at] = value
    data[36:40] = struct.pack("<I", zlib.crc32(data[40:], zlib.crc32(data[:36])))
    with pytest.raises(StoreCorrupt, match=message):
        decode_entry(bytes(data))


@pytest.mark.parametrize(
    "record", [Label(seq=2**64, y=()), Label(seq=-1, y=()), Sample(seq=1, t=0.0, x=(0.0,) * 65536)]
)
def test_a_record_that_does_not_fit_is_refused(record: Record) -> None:
    """Numbers beyond the header's fields raise ValueError instead of being cut."""
    with pytest.raises(ValueError, match="does not fit"):
        encode_entry(record, 1, 1)


@given(SNAPSHOTS)
def test_a_snapshot_comes_back(snapshot: Snapshot) -> None:
    """Position and blob survive the trip."""
    assert decode_snapshot("s", "i", encode_snapshot(snapshot.position, snapshot.blob)) == snapshot


@given(SNAPSHOTS, st.data())
def test_a_damaged_snapshot_is_refused(snapshot: Snapshot, data: st.DataObject) -> None:
    """A snapshot that is cut or has a changed byte raises."""
    whole = encode_snapshot(snapshot.position, snapshot.blob)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for damaged in (cut, _damaged(whole, data), whole + b"\0"):
        with pytest.raises(StoreCorrupt):
            decode_snapshot("s", "i", damaged)


def _damaged(whole: bytes, data: st.DataObject) -> bytes:
    at, flip = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(1, 255))
    return whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
