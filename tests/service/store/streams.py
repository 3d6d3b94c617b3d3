"""Streams whose records are what their position says, and what the store has of them."""

from __future__ import annotations

from liquid_core.engine.records import Sample
from service.store import Append, Appended, LogEntry, Snapshot, StoredStream, StreamStore, encode_entry


def entries(store: StreamStore, stream_id: str, first: int = 1, count: int = 1) -> list[bytes]:
    """Encoded entries from position `first` on."""
    epoch = store.epoch_of(stream_id)
    records = [Sample(seq=seq, t=float(seq), x=(seq / 2,)) for seq in range(first, first + count)]
    return [encode_entry(record, record.seq, epoch) for record in records]


async def append_of(store: StreamStore, stream_id: str, first: int = 1, count: int = 1) -> Append:
    """An append to the stream as it is there now."""
    return Append(stream_id, await incarnation_of(store, stream_id), first, entries(store, stream_id, first, count))


async def append(store: StreamStore, stream_id: str, first: int = 1, count: int = 1) -> Appended:
    """What becomes of such an append."""
    [appended] = await store.append([await append_of(store, stream_id, first, count)])
    return appended


async def snapshot(store: StreamStore, stream_id: str, position: int) -> str:
    """Write a snapshot that is told by its position; what became of it."""
    incarnation = await incarnation_of(store, stream_id)
    [outcome] = await store.write_snapshots([Snapshot(stream_id, incarnation, position, b"state %d" % position)])
    return outcome


async def incarnation_of(store: StreamStore, stream_id: str) -> str:
    """Of the stream that is there now; a name that none has where there is no such stream."""
    [tail] = await store.tails([stream_id])
    return "none" if tail is None else tail.incarnation


async def read(store: StreamStore, stream_id: str) -> StoredStream:
    """A stream that is there and can be read."""
    [stream] = await store.read_streams([stream_id])
    assert isinstance(stream, StoredStream), stream
    return stream


async def log_of(store: StreamStore, stream_id: str) -> list[LogEntry]:
    """Its entries after the newest snapshot."""
    return (await read(store, stream_id)).entries


async def positions(store: StreamStore, stream_id: str) -> tuple[int | None, list[int]]:
    """Of the snapshot, and of the entries after it."""
    stream = await read(store, stream_id)
    start = None if stream.snapshot is None else stream.snapshot.position
    return start, [entry.position for entry in stream.entries]
