"""Log entries and snapshots as bytes: little-endian, versioned, with a checksum.

An entry is a header of 40 bytes and what the record says::

    version u8 · kind u8 · flags u16 · epoch u32 · position u64 · seq u64 · t f64
    features u16 · targets u16 · crc32 u32 · x f64 × features · y f64 × targets

A control has zeros for `seq`, `t` and both sizes, and its payload instead of values: ``length u32 · msgpack``.

The append script reads the position, so its place in the header must not move. The checksum covers all other bytes.

A snapshot is ``magic 4 bytes · position u64 · length u64 · crc32 u32`` and the blob.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import msgspec

from liquid_core.engine.records import Control, Label, Observation, Record, Sample
from service.store.errors import StoreCorrupt

VERSION = 1
_SAMPLE, _LABEL, _CONTROL = 1, 2, 3
_HAS_Y = 1

_HEADER = struct.Struct("<BBHIQQdHH")
_CRC = struct.Struct("<I")
_LENGTH = struct.Struct("<I")
_ENTRY_START = _HEADER.size + _CRC.size
_POSITION = struct.Struct("<Q")
#: Bytes before the position; the scripts count from one and so say 9.
_POSITION_AT = 8

_read_control = msgspec.msgpack.Decoder(Control).decode

_MAGIC = b"LSN1"
_SNAPSHOT = struct.Struct("<4sQQ")
_BLOB_START = _SNAPSHOT.size + _CRC.size


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A record in a stream's log."""

    #: Number of the record in its stream, samples, labels and controls together, from 1.
    position: int
    #: Epoch of the owner that wrote it.
    token_epoch: int
    record: Record


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stream's state after its first `position` records."""

    stream_id: str
    #: Which stream of this id. Not among the snapshot's bytes: they are deleted with the stream.
    incarnation: str
    position: int
    blob: bytes
    #: What the store shall have of the stream, beside log and snapshots, from now on; empty: what it has.
    meta: bytes = b""


def encode_entry(record: Record, position: int, epoch: int) -> bytes:
    """Bytes of a log entry; the same arguments always give the same bytes.

    Raises
    ------
    ValueError
        A number does not fit: `position` and `seq` are 64 bits, values are at most 65535.
    """
    try:
        header, body = (
            _encode_observation(record, position, epoch)
            if isinstance(record, Sample | Label)
            else _encode_control(record, position, epoch)
        )
    except struct.error as error:
        raise ValueError(f"this record does not fit into a log entry: {error}") from None
    return b"".join((header, _CRC.pack(zlib.crc32(body, zlib.crc32(header))), body))


def _encode_observation(record: Observation, position: int, epoch: int) -> tuple[bytes, bytes]:
    x: tuple[float, ...] = ()
    if isinstance(record, Sample):
        kind, t, x = _SAMPLE, record.t, record.x
    else:
        kind, t = _LABEL, 0.0
    y = () if record.y is None else record.y
    flags = 0 if record.y is None else _HAS_Y
    header = _HEADER.pack(VERSION, kind, flags, epoch, position, record.seq, t, len(x), len(y))
    return header, struct.pack(f"<{len(x) + len(y)}d", *x, *y)


def _encode_control(control: Control, position: int, epoch: int) -> tuple[bytes, bytes]:
    payload = msgspec.msgpack.encode(control)
    header = _HEADER.pack(VERSION, _CONTROL, 0, epoch, position, 0, 0.0, 0, 0)
    return header, _LENGTH.pack(len(payload)) + payload


def decode_entry(data: bytes) -> LogEntry:
    """The entry that `data` was made from.

    Raises
    ------
    StoreCorrupt
        The bytes are cut, changed, or of a version or kind that this release does not know.
    """
    if len(data) < _ENTRY_START:
        raise StoreCorrupt(f"a log entry of {len(data)} bytes is cut short; restore the store from its backup")
    version, kind, flags, epoch, position, seq, t, num_x, num_y = _HEADER.unpack_from(data)
    (crc,) = _CRC.unpack_from(data, _HEADER.size)
    if zlib.crc32(data[_ENTRY_START:], zlib.crc32(data[: _HEADER.size])) != crc:
        raise StoreCorrupt("a log entry fails its checksum; restore the store from its backup")
    if version != VERSION:
        raise StoreCorrupt(f"a log entry has version {version}, this release reads {VERSION}; use a newer release")
    record: Record
    if kind == _CONTROL:
        record = _decode_control(data)
    elif kind in (_SAMPLE, _LABEL):
        _check_length(data, 8 * (num_x + num_y))
        values = struct.unpack_from(f"<{num_x + num_y}d", data, _ENTRY_START)
        x, y = values[:num_x], values[num_x:]
        record = Sample(seq=seq, t=t, x=x, y=y if flags & _HAS_Y else None) if kind == _SAMPLE else Label(seq=seq, y=y)
    else:
        raise StoreCorrupt(f"a log entry is of kind {kind}, which this release does not know; use a newer release")
    return LogEntry(position=position, token_epoch=epoch, record=record)


def _decode_control(data: bytes) -> Control:
    _check_length(data, _LENGTH.size, or_more=True)
    (length,) = _LENGTH.unpack_from(data, _ENTRY_START)
    _check_length(data, _LENGTH.size + length)
    try:
        control: Control = _read_control(data[_ENTRY_START + _LENGTH.size :])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise StoreCorrupt(f"a log entry is a control that this release cannot read: {error}") from None
    return control


def _check_length(data: bytes, body: int, *, or_more: bool = False) -> None:
    length = len(data) - _ENTRY_START
    if length < body or (length > body and not or_more):
        raise StoreCorrupt("a log entry has another length than its header says; restore the store from its backup")


def entry_position(data: bytes) -> int:
    """Position of an entry without reading the rest; its checksum is not looked at."""
    if len(data) < _ENTRY_START:
        raise StoreCorrupt(f"a log entry of {len(data)} bytes is cut short; restore the store from its backup")
    return int(_POSITION.unpack_from(data, _POSITION_AT)[0])


def encode_snapshot(position: int, blob: bytes) -> bytes:
    """Bytes of a snapshot, with its position and a checksum."""
    header = _SNAPSHOT.pack(_MAGIC, position, len(blob))
    crc = zlib.crc32(blob, zlib.crc32(header))
    return b"".join((header, _CRC.pack(crc), blob))


def decode_snapshot(stream_id: str, incarnation: str, data: bytes) -> Snapshot:
    """The snapshot that `data` was made from.

    Raises
    ------
    StoreCorrupt
        The bytes are cut or changed, or are no snapshot.
    """
    if len(data) < _BLOB_START:
        raise StoreCorrupt(f"a snapshot of {len(data)} bytes is cut short")
    magic, position, length = _SNAPSHOT.unpack_from(data)
    (crc,) = _CRC.unpack_from(data, _SNAPSHOT.size)
    blob = data[_BLOB_START:]
    if magic != _MAGIC:
        raise StoreCorrupt("these bytes are no snapshot, or one of a newer release")
    if len(blob) != length or zlib.crc32(blob, zlib.crc32(data[: _SNAPSHOT.size])) != crc:
        raise StoreCorrupt("a snapshot fails its checksum")
    return Snapshot(stream_id=stream_id, incarnation=incarnation, position=position, blob=blob)


__all__ = [
    "VERSION",
    "LogEntry",
    "Snapshot",
    "decode_entry",
    "decode_snapshot",
    "encode_entry",
    "encode_snapshot",
    "entry_position",
]
