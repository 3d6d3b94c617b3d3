"""A store that comes back without what it had: told from another owner, acquired again, and mended."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from service.store import (
    Append,
    Appended,
    EmbeddedStore,
    Fenced,
    Mend,
    ShardsHeld,
    Snapshot,
    StoreRefused,
    StoreRewound,
    StreamStore,
)
from tests.conftest import LEASE_S
from tests.service.store.streams import append, entries, incarnation_of, log_of, positions, read, snapshot


@pytest.fixture
async def other(store_url: str, namespace: str) -> AsyncIterator[StreamStore]:
    """Another server at the same address; `store` comes first, and lays the store out."""
    other = await StreamStore.connect(store_url, namespace=namespace)
    yield other
    await other.close()


async def test_an_emptied_store_is_told_from_another_owner(
    store: StreamStore, store_url: str, raw: Redis, namespace: str
) -> None:
    """Every call says that the store is empty; acquired again, it is the store that it was, but for the streams."""
    await store.create("pump", b"")
    epoch, store_id = store.epoch_of("pump"), store.store_id
    await _empty(raw, namespace)
    for call in (lambda: store.tails(["pump"]), lambda: store.create("pump", b""), store.renew):
        with pytest.raises(StoreRewound, match="come back empty") as raised:
            await call()
        assert raised.value.emptied
    await store.reacquire(lease_s=LEASE_S)
    assert store.epoch_of("pump") > epoch
    later = await StreamStore.connect(store_url, namespace=namespace, num_shards=64)
    assert (later.store_id, later.num_shards) == (store_id, 8)
    await later.close()
    assert await store.read_streams(["pump"]) == [None]
    assert await store.create("pump", b"")


async def test_a_rewound_store_is_told_from_another_owner(
    store: StreamStore, other: StreamStore, raw: Redis, namespace: str
) -> None:
    """It knows an owner before us; ours are higher epochs than any that we ever had, though it has forgotten them."""
    before = await _state(raw, namespace)
    await other.acquire(range(8), lease_s=LEASE_S, by_force=True)
    for _ in range(3):
        await other.acquire(range(8), lease_s=LEASE_S)
    epoch = other.epoch_of("pump")
    await _restore(raw, namespace, before)
    with pytest.raises(StoreRewound, match="come back older") as raised:
        await other.create("pump", b"")
    assert not raised.value.emptied
    # The lease of the owner before us has come back, too.
    with pytest.raises(ShardsHeld):
        await other.reacquire(lease_s=LEASE_S)
    await store.release()
    await other.reacquire(lease_s=LEASE_S)
    assert other.epoch_of("pump") > epoch
    assert await other.create("pump", b"")


async def test_who_was_quicker_in_an_emptied_store_has_it(
    store: StreamStore, other: StreamStore, raw: Redis, namespace: str
) -> None:
    """Its lease is respected, and its epochs, though lower, are not taken for a newer owner's."""
    await store.acquire(range(8), lease_s=LEASE_S)
    await _empty(raw, namespace)
    await other.acquire(range(8), lease_s=LEASE_S)
    with pytest.raises(StoreRewound):
        await store.create("pump", b"")
    with pytest.raises(ShardsHeld):
        await store.reacquire(lease_s=LEASE_S)
    assert await other.create("pump", b"")
    await other.release()
    await store.reacquire(lease_s=LEASE_S)
    with pytest.raises(Fenced):
        await other.create("another", b"")


async def test_another_store_at_the_address_is_refused(
    store: StreamStore, store_url: str, raw: Redis, namespace: str
) -> None:
    """Nothing of ours is brought into a store that somebody laid out meanwhile."""
    await _empty(raw, namespace)
    stranger = await StreamStore.connect(store_url, namespace=namespace, num_shards=8)
    with pytest.raises(StoreRefused, match=f"{stranger.store_id}, ours was {store.store_id}"):
        await store.reacquire(lease_s=LEASE_S)
    assert [key async for key in raw.scan_iter(f"{namespace}:*")] == [f"{namespace}:layout".encode()]
    await stranger.close()


async def test_a_restart_is_noticed(embedded: EmbeddedStore, connect) -> None:
    """The run id is the same as long as the server runs, and another one afterwards."""
    store = await connect(await embedded.start())
    before = await store.run_id()
    assert await store.run_id() == before != ""
    await embedded.stop()
    await embedded.start()
    assert await store.run_id() != before


# --- mending ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def mend(store: StreamStore) -> Mend:
    """What is in memory of the stream `pump`, which has nine records and a snapshot at the fourth."""
    await store.create("pump", b"meta")
    await append(store, "pump", 1, 9)
    await snapshot(store, "pump", 4)
    last = entries(store, "pump", 9)[0]
    return Mend("pump", await incarnation_of(store, "pump"), b"meta", 9, b"state 9", last)


async def test_a_lost_stream_is_made_again(store: StreamStore, mend: Mend, raw: Redis, namespace: str) -> None:
    """It is the stream that it was, listed, with its state; and a repetition of its last append finds itself."""
    assert mend.last_entry is not None
    last = [Append("pump", mend.incarnation, 9, [mend.last_entry])]
    await _empty(raw, namespace)
    await store.reacquire(lease_s=LEASE_S)
    assert await store.mend([mend]) == ["mended"]
    assert await store.mend([mend]) == ["fine"]
    stream = await read(store, "pump")
    assert stream.snapshot == Snapshot("pump", mend.incarnation, 9, b"state 9")
    assert (stream.meta, stream.entries) == (b"meta", [])
    assert await store.list_ids() == (["pump"], None)
    assert await store.append(last) == [Appended("already", tail=9)]
    assert await append(store, "pump", 10) == Appended("appended", tail=10)


@pytest.mark.parametrize("lost", [1, 5, 9])
async def test_a_log_that_came_back_short_is_mended(
    store: StreamStore, mend: Mend, raw: Redis, namespace: str, lost: int
) -> None:
    """What is left of it gives way to the state at its end; both snapshots from then on are of that time or later."""
    [log] = [key async for key in raw.scan_iter(f"{namespace}:*:log:pump")]
    await raw.rpop(log, lost)
    assert await store.mend([mend]) == ["mended"]
    assert await positions(store, "pump") == (9, [])
    await append(store, "pump", 10, 3)
    assert await positions(store, "pump") == (9, [10, 11, 12])
    await snapshot(store, "pump", 11)
    assert await positions(store, "pump") == (11, [12])
    [key] = [key async for key in raw.scan_iter(f"{namespace}:*:snap:pump")]
    await raw.hset(key, await raw.hget(key, "newest"), b"damaged")
    assert await positions(store, "pump") == (9, [10, 11, 12])


async def test_what_was_not_lost_is_fine(store: StreamStore, mend: Mend) -> None:
    """Nothing is written where the log reaches as far, or farther: with a record whose answer got lost."""
    assert await store.mend([mend]) == ["fine"]
    await append(store, "pump", 10)
    assert await store.mend([mend]) == ["fine"]
    assert await positions(store, "pump") == (4, [5, 6, 7, 8, 9, 10])


async def test_another_history_is_not_written_over(store: StreamStore, mend: Mend, raw: Redis, namespace: str) -> None:
    """Where the store has another record in the place of our last one, what is in memory is not the stream."""
    [log] = [key async for key in raw.scan_iter(f"{namespace}:*:log:pump")]
    await raw.rpop(log)
    await store.acquire(range(8), lease_s=LEASE_S)  # a higher epoch, and so other bytes
    await append(store, "pump", 9)
    assert await store.mend([mend]) == ["replaced"]
    assert len(await log_of(store, "pump")) == 5


async def test_a_stream_without_records_is_mended_too(store: StreamStore, raw: Redis, namespace: str) -> None:
    """Its initial state is at position 0, and its first record comes next."""
    incarnation = str(await store.create("pump", b"meta"))
    await _empty(raw, namespace)
    await store.reacquire(lease_s=LEASE_S)
    assert await store.mend([Mend("pump", incarnation, b"meta", 0, b"initial", None)]) == ["mended"]
    assert await positions(store, "pump") == (0, [])
    assert await append(store, "pump") == Appended("appended", tail=1)


async def test_many_streams_are_mended_each_by_itself(store: StreamStore, raw: Redis, namespace: str) -> None:
    """In several calls where they are large."""
    mends = []
    for number in range(20):
        stream_id = f"sensor-{number}"
        incarnation = str(await store.create(stream_id, b""))
        await append(store, stream_id, 1, 2)
        mends.append(Mend(stream_id, incarnation, b"", 2, bytes(200_000), None))
    for number in range(0, 20, 2):
        await raw.delete(*[key async for key in raw.scan_iter(f"{namespace}:*:sensor-{number}")])
    assert await store.mend(mends) == ["mended", "fine"] * 10
    assert {tail.position for tail in await store.tails([mend.stream_id for mend in mends]) if tail} == {2}


async def test_a_mend_whose_last_entry_is_another_is_a_mistake(store: StreamStore, mend: Mend) -> None:
    """The log's end would carry a wrong position."""
    wrong = Mend("pump", mend.incarnation, b"", 8, b"", mend.last_entry)
    with pytest.raises(ValueError, match="must be the one of position 8"):
        await store.mend([wrong])


async def _empty(raw: Redis, namespace: str) -> None:
    await raw.delete(*[key async for key in raw.scan_iter(f"{namespace}:*")])


async def _state(raw: Redis, namespace: str) -> dict[bytes, bytes]:
    return {key: await raw.dump(key) async for key in raw.scan_iter(f"{namespace}:*")}


async def _restore(raw: Redis, namespace: str, state: dict[bytes, bytes]) -> None:
    """Leases get the time to live that they had at first."""
    await _empty(raw, namespace)
    for key, data in state.items():
        await raw.restore(key, int(1000 * LEASE_S) if key.endswith(b":lease") else 0, data)
