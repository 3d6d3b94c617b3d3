"""Snapshots: two generations, and a log that reaches back to the older one."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from service.store import Snapshot, StoreCorrupt, StreamStore
from service.store.codec import entry_position


@pytest.fixture
async def pump(store: StreamStore, make_append) -> StreamStore:
    """A store with the stream `pump` of nine records."""
    await store.create("pump", b"")
    await store.append([make_append(store, "pump", 1, 9)])
    return store


async def test_the_newest_snapshot_is_read(pump: StreamStore) -> None:
    """Each snapshot takes the place of the one before."""
    assert await pump.read_snapshot("pump") is None
    for position in (2, 5, 9):
        await _snapshot(pump, position)
        assert await pump.read_snapshot("pump") == Snapshot("pump", position, b"state %d" % position)


async def test_the_log_reaches_back_to_the_older_snapshot(pump: StreamStore, raw: Redis, namespace: str) -> None:
    """Nothing is cut at the first snapshot; each later one cuts what the one before it holds."""
    kept = []
    for position in (2, 5, 7, 9):
        await _snapshot(pump, position)
        kept.append([entry_position(data) for data in await raw.lrange(await _key(raw, namespace, "log"), 0, -1)])
    assert kept == [[*range(first, 10)] for first in (1, 3, 6, 8)]


async def test_the_log_keeps_its_last_entry(pump: StreamStore, make_append) -> None:
    """Two snapshots at the end leave one entry, which carries the position on."""
    await _snapshot(pump, 9)
    await pump.append([make_append(pump, "pump", 10)])
    await _snapshot(pump, 10)
    assert [entry.position for entry in await pump.read_log("pump", 9)] == [10]
    assert await pump.append([make_append(pump, "pump", 10)]) == ["already"]
    assert await pump.append([make_append(pump, "pump", 11)]) == ["appended"]


async def test_a_damaged_snapshot_costs_a_longer_replay(pump: StreamStore, raw: Redis, namespace: str) -> None:
    """With one byte of the newest snapshot flipped, the older one and the log give the same records."""
    await _snapshot(pump, 4)
    await _snapshot(pump, 7)
    await _flip_a_byte(raw, namespace, "newest")
    found = await pump.read_snapshot("pump")
    assert found == Snapshot("pump", 4, b"state 4")
    assert [entry.position for entry in await pump.read_log("pump", found.position)] == [5, 6, 7, 8, 9]


async def test_a_damaged_snapshot_is_the_next_to_be_replaced(pump: StreamStore, raw: Redis, namespace: str) -> None:
    """The readable one stays until there are two readable ones again, so that a second fault can be borne too."""
    await _snapshot(pump, 3)
    await _snapshot(pump, 5)
    await _flip_a_byte(raw, namespace, "newest")
    await pump.read_snapshot("pump")
    await _snapshot(pump, 8)
    assert await pump.read_snapshot("pump") == Snapshot("pump", 8, b"state 8")
    await _flip_a_byte(raw, namespace, "newest")
    assert await pump.read_snapshot("pump") == Snapshot("pump", 3, b"state 3")
    assert [entry.position for entry in await pump.read_log("pump", 3)] == [4, 5, 6, 7, 8, 9]


async def test_a_single_damaged_snapshot_leaves_the_whole_log(pump: StreamStore, raw: Redis, namespace: str) -> None:
    """Before there are two snapshots the log is whole, and the stream can be computed from its beginning."""
    await _snapshot(pump, 5)
    await _flip_a_byte(raw, namespace, "newest")
    assert await pump.read_snapshot("pump") is None
    assert len(await pump.read_log("pump", 0)) == 9


async def test_two_damaged_snapshots_are_not_taken_for_a_new_stream(
    pump: StreamStore, raw: Redis, namespace: str
) -> None:
    """Where neither snapshot nor the beginning of the log is there, reading says so."""
    await _snapshot(pump, 3)
    await _snapshot(pump, 5)
    await _flip_a_byte(raw, namespace, "newest")
    await _flip_a_byte(raw, namespace, "older")
    assert await pump.read_snapshot("pump") is None
    with pytest.raises(StoreCorrupt, match="record 1 is not there, 4 comes instead"):
        await pump.read_log("pump", 0)


async def test_a_repeated_snapshot_changes_nothing(pump: StreamStore) -> None:
    """Written again at the same place, it does not push the older one out."""
    await _snapshot(pump, 3)
    for _ in range(3):
        await _snapshot(pump, 6)
    assert [entry.position for entry in await pump.read_log("pump", 3)] == [4, 5, 6, 7, 8, 9]


async def test_a_late_snapshot_is_passed_over(pump: StreamStore) -> None:
    """A snapshot older than the newest one does not take its place."""
    await _snapshot(pump, 6)
    await _snapshot(pump, 2)
    assert await pump.read_snapshot("pump") == Snapshot("pump", 6, b"state 6")


async def test_a_snapshot_ahead_of_the_log_is_refused(pump: StreamStore) -> None:
    """A state that holds records that the log does not have is not stored."""
    with pytest.raises(StoreCorrupt, match="ahead of its log"):
        await _snapshot(pump, 10)
    assert await pump.read_snapshot("pump") is None


async def test_a_snapshot_of_a_deleted_stream_is_passed_over(pump: StreamStore, raw: Redis, namespace: str) -> None:
    """It does not bring any key of the stream back."""
    await pump.delete("pump")
    await _snapshot(pump, 3)
    assert [key async for key in raw.scan_iter(f"{namespace}:*pump")] == []


async def test_many_snapshots_go_in_several_calls(store: StreamStore, make_append) -> None:
    """More bytes than one script call takes are written all the same, and read in one go."""
    ids = [f"sensor-{number}" for number in range(20)]
    await asyncio.gather(*(store.create(stream_id, b"") for stream_id in ids))
    await store.append([make_append(store, stream_id, 1, 2) for stream_id in ids])
    snapshots = [Snapshot(stream_id, 2, stream_id.encode() * 20_000) for stream_id in ids]
    await store.write_snapshots(snapshots)
    assert await store.read_snapshots([*ids, "nobody"]) == [*snapshots, None]


async def _snapshot(store: StreamStore, position: int) -> None:
    await store.write_snapshots([Snapshot("pump", position, b"state %d" % position)])


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
