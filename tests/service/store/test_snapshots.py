"""Snapshots: two generations, and a log that reaches back to the older one."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from service.store import Appended, Mend, Snapshot, StoreCorrupt, StoredStream, StreamStore
from service.store.codec import entry_position
from tests.service.store.streams import append, append_of, incarnation_of, positions, read, snapshot


@pytest.fixture
async def pump(store: StreamStore) -> StreamStore:
    """A store with the stream `pump` of nine records."""
    await store.create("pump", b"")
    await append(store, "pump", 1, 9)
    return store


async def test_the_newest_snapshot_is_read(pump: StreamStore) -> None:
    """Each snapshot takes the place of the one before."""
    assert await positions(pump, "pump") == (None, [*range(1, 10)])
    incarnation = await incarnation_of(pump, "pump")
    for position in (2, 5, 9):
        assert await snapshot(pump, "pump", position) == "written"
        stream = await read(pump, "pump")
        assert stream.snapshot == Snapshot("pump", incarnation, position, b"state %d" % position)
        assert [entry.position for entry in stream.entries] == [*range(position + 1, 10)]


async def test_the_log_reaches_back_to_the_older_snapshot(pump: StreamStore, raw: Redis, namespace: str) -> None:
    """Nothing is cut at the first snapshot; each later one cuts what the one before it holds."""
    kept = []
    for position in (2, 5, 7, 9):
        await snapshot(pump, "pump", position)
        kept.append([entry_position(data) for data in await raw.lrange(await _key(raw, namespace, "log"), 0, -1)])
    assert kept == [[*range(first, 10)] for first in (1, 3, 6, 8)]


async def test_the_log_keeps_its_last_entry(pump: StreamStore, raw: Redis, namespace: str) -> None:
    """Two snapshots at the end leave one entry, which carries the position on."""
    await snapshot(pump, "pump", 9)
    await append(pump, "pump", 10)
    await snapshot(pump, "pump", 10)
    [key] = [key async for key in raw.scan_iter(f"{namespace}:*:log:pump")]
    assert await raw.llen(key) == 1
    assert await positions(pump, "pump") == (10, [])
    assert await append(pump, "pump", 10) == Appended("already", tail=10)
    assert await append(pump, "pump", 11) == Appended("appended", tail=11)


async def test_a_damaged_snapshot_costs_a_longer_replay(pump: StreamStore, raw: Redis, namespace: str) -> None:
    """With one byte of the newest snapshot flipped, the older one and the log give the same records."""
    await snapshot(pump, "pump", 4)
    await snapshot(pump, "pump", 7)
    await _flip_a_byte(raw, namespace, "newest")
    assert await positions(pump, "pump") == (4, [5, 6, 7, 8, 9])
    assert (await read(pump, "pump")).snapshot.blob == b"state 4"


async def test_a_damaged_snapshot_is_the_next_to_be_replaced(pump: StreamStore, raw: Redis, namespace: str) -> None:
    """The readable one stays until there are two readable ones again, so that a second fault can be borne too."""
    await snapshot(pump, "pump", 3)
    await snapshot(pump, "pump", 5)
    await _flip_a_byte(raw, namespace, "newest")
    await read(pump, "pump")
    await snapshot(pump, "pump", 8)
    assert await positions(pump, "pump") == (8, [9])
    await _flip_a_byte(raw, namespace, "newest")
    assert await positions(pump, "pump") == (3, [4, 5, 6, 7, 8, 9])


async def test_a_single_damaged_snapshot_leaves_the_whole_log(pump: StreamStore, raw: Redis, namespace: str) -> None:
    """Before there are two snapshots the log is whole, and the stream can be computed from its beginning."""
    await snapshot(pump, "pump", 5)
    await _flip_a_byte(raw, namespace, "newest")
    assert await positions(pump, "pump") == (None, [*range(1, 10)])


async def test_two_damaged_snapshots_are_not_taken_for_a_new_stream(
    pump: StreamStore, raw: Redis, namespace: str
) -> None:
    """Where neither snapshot nor the beginning of the log is there, reading says so, and reads the others."""
    await pump.create("other", b"")
    await snapshot(pump, "pump", 3)
    await snapshot(pump, "pump", 5)
    await _flip_a_byte(raw, namespace, "newest")
    await _flip_a_byte(raw, namespace, "older")
    damaged, other = await pump.read_streams(["pump", "other"])
    assert isinstance(damaged, StoreCorrupt)
    assert "record 1 is not there, 4 comes instead" in str(damaged)
    assert isinstance(other, StoredStream)


async def test_a_mended_stream_without_its_snapshot_is_not_taken_for_a_new_one(
    pump: StreamStore, raw: Redis, namespace: str
) -> None:
    """Mending leaves one snapshot and no log before it: should that one be damaged, reading says so."""
    incarnation = await incarnation_of(pump, "pump")
    await raw.delete(await _key(raw, namespace, "log"))
    assert await pump.mend([Mend("pump", incarnation, b"", 9, b"state 9", None)]) == ["mended"]
    await _flip_a_byte(raw, namespace, "newest")
    [damaged] = await pump.read_streams(["pump"])
    assert isinstance(damaged, StoreCorrupt)
    assert "records 1 to 9 are not there" in str(damaged)


async def test_a_repeated_snapshot_changes_nothing(pump: StreamStore, raw: Redis, namespace: str) -> None:
    """Written again at the same place, it does not push the older one out."""
    await snapshot(pump, "pump", 3)
    assert [await snapshot(pump, "pump", 6) for _ in range(3)] == ["written"] * 3
    [key] = [key async for key in raw.scan_iter(f"{namespace}:*:log:pump")]
    assert [entry_position(data) for data in await raw.lrange(key, 0, -1)] == [4, 5, 6, 7, 8, 9]


async def test_a_late_snapshot_is_passed_over(pump: StreamStore) -> None:
    """A snapshot older than the newest one does not take its place."""
    await snapshot(pump, "pump", 6)
    assert await snapshot(pump, "pump", 2) == "stale"
    assert await positions(pump, "pump") == (6, [7, 8, 9])


async def test_a_snapshot_ahead_of_the_log_is_refused(pump: StreamStore) -> None:
    """A state that holds records that the log does not have is not stored."""
    assert await snapshot(pump, "pump", 10) == "ahead"
    assert await positions(pump, "pump") == (None, [*range(1, 10)])


async def test_a_snapshot_of_a_deleted_stream_is_passed_over(pump: StreamStore, raw: Redis, namespace: str) -> None:
    """It does not bring any key of the stream back."""
    late = Snapshot("pump", await incarnation_of(pump, "pump"), 3, b"state 3")
    await pump.delete("pump")
    assert await pump.write_snapshots([late]) == ["missing"]
    assert [key async for key in raw.scan_iter(f"{namespace}:*pump")] == []


async def test_many_snapshots_go_in_several_calls(store: StreamStore) -> None:
    """More bytes than one script call takes are written all the same, and read in one go."""
    ids = [f"sensor-{number}" for number in range(20)]
    incarnations = await asyncio.gather(*(store.create(stream_id, b"") for stream_id in ids))
    await store.append([await append_of(store, stream_id, 1, 2) for stream_id in ids])
    snapshots = [
        Snapshot(stream_id, str(incarnation), 2, stream_id.encode() * 20_000)
        for stream_id, incarnation in zip(ids, incarnations, strict=True)
    ]
    assert await store.write_snapshots(snapshots) == ["written"] * 20
    *found, nobody = await store.read_streams([*ids, "nobody"])
    assert [stream.snapshot for stream in found] == snapshots
    assert nobody is None


async def _flip_a_byte(raw: Redis, namespace: str, which: str) -> None:
    key = await _key(raw, namespace, "snap")
    generation = (await raw.hget(key, "newest")).decode()
    if which == "older":
        generation = {"a": "b", "b": "a"}[generation]
    data = bytearray(await raw.hget(key, generation))
    data[-1] ^= 0x10
    await raw.hset(key, generation, bytes(data))


async def _key(raw: Redis, namespace: str, kind: str) -> bytes:
    [key] = [key async for key in raw.scan_iter(f"{namespace}:*:{kind}:pump")]
    return key
