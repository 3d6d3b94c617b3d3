"""Streams in the store: made, listed, logged, deleted."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from service.store import (
    Appended,
    BadCursor,
    Mend,
    StoreCorrupt,
    StoredStream,
    StoreRefused,
    StreamStore,
    Tail,
)
from service.store.listing import _read_cursor
from tests.conftest import LEASE_S
from tests.service.store.streams import append, append_of, entries, log_of, positions, read, snapshot


async def test_a_stream_is_made_once(store: StreamStore) -> None:
    """A second `create` says so and leaves the first one's meta."""
    incarnation = await store.create("pump", b"first")
    assert incarnation
    assert await store.create("pump", b"second") is None
    assert await read(store, "pump") == StoredStream("pump", incarnation, b"first", snapshot=None, entries=[])


async def test_a_deleted_stream_leaves_nothing(store: StreamStore, raw: Redis) -> None:
    """Meta, log, snapshots and listing are gone, and the id can be used anew from position 1."""
    before = {key async for key in raw.scan_iter("*")}
    await store.create("pump", b"meta")
    await append(store, "pump", 1, 3)
    assert await store.delete("pump")
    assert {key async for key in raw.scan_iter("*")} == before
    assert await store.read_streams(["pump"]) == await store.tails(["pump"]) == [None]
    assert not await store.delete("pump")
    await store.create("pump", b"meta")
    assert await append(store, "pump") == Appended("appended", tail=1)


async def test_what_is_appended_is_read(store: StreamStore) -> None:
    """Entries come back in order, with their positions and the writer's epoch."""
    await store.create("pump", b"")
    await append(store, "pump", 1, 2)
    await append(store, "pump", 3, 2)
    entries = await log_of(store, "pump")
    assert [entry.position for entry in entries] == [1, 2, 3, 4]
    assert [entry.record.x for entry in entries] == [(0.5,), (1.0,), (1.5,), (2.0,)]
    assert {entry.token_epoch for entry in entries} == {store.epoch_of("pump")}


async def test_a_repeated_append_changes_nothing(store: StreamStore) -> None:
    """Bytes that are in the log already are found there, wherever they are."""
    await store.create("pump", b"")
    batches = [await append_of(store, "pump", 1, 3), await append_of(store, "pump", 4, 2)]
    assert [await store.append([batch]) for batch in batches] == [[Appended("appended", 3)], [Appended("appended", 5)]]
    assert [await store.append([batch]) for batch in batches] == [[Appended("already", 5)]] * 2
    assert len(await log_of(store, "pump")) == 5


@pytest.mark.parametrize(("first", "count"), [(5, 1), (3, 2), (2, 9)])
async def test_an_append_elsewhere_than_at_the_end_is_refused(store: StreamStore, first: int, count: int) -> None:
    """Neither a gap nor an overlap reaches the log, and the answer tells where that ends."""
    await store.create("pump", b"")
    await append(store, "pump", 1, 3)
    assert await append(store, "pump", first, count) == Appended("mismatch", tail=3)
    assert len(await log_of(store, "pump")) == 3


async def test_other_bytes_at_the_same_place_are_refused(store: StreamStore) -> None:
    """A record that differs from the one at its position does not replace it."""
    await store.create("pump", b"")
    await append(store, "pump", 1, 2)
    other = await append_of(store, "pump", 1, 2)
    other.entries[1] = entries(store, "pump", 7)[0]
    assert await store.append([other]) == [Appended("mismatch", tail=2)]


async def test_a_long_append_goes_through_whole(store: StreamStore) -> None:
    """More entries than one command of the script takes are appended in order, and found again."""
    await store.create("pump", b"")
    long = await append_of(store, "pump", 1, 2500)
    assert await store.append([long]) == [Appended("appended", tail=2500)]
    assert await store.append([long]) == [Appended("already", tail=2500)]
    assert await positions(store, "pump") == (None, [*range(1, 2501)])


async def test_one_stream_of_a_micro_batch_does_not_hinder_the_others(store: StreamStore) -> None:
    """Each stream of a call gets its own outcome."""
    for stream_id in ("a", "b", "c"):
        await store.create(stream_id, b"")
    await append(store, "b", 1, 2)
    batch = [await append_of(store, *each) for each in (("a", 1, 40), ("b", 1, 2), ("c", 2), ("d",))]
    assert await store.append(batch) == [
        Appended("appended", tail=40),
        Appended("already", tail=2),
        Appended("mismatch", tail=0),
        Appended("missing", tail=0),
    ]
    assert [len(await log_of(store, stream_id)) for stream_id in "abc"] == [40, 2, 0]


async def test_tails_tell_where_each_log_ends(store: StreamStore) -> None:
    """Also where the log has been cut at a snapshot, and for many streams in one call."""
    ids = [f"sensor-{number}" for number in range(30)]
    incarnations = [await store.create(stream_id, b"") for stream_id in ids]
    await store.append([await append_of(store, stream_id, 1, count) for count, stream_id in enumerate(ids) if count])
    for _ in range(2):
        await snapshot(store, ids[7], 7)
    expected = [Tail(str(incarnation), count) for count, incarnation in enumerate(incarnations)]
    assert await store.tails([*ids, "nobody"]) == [*expected, None]
    assert await store.tails([]) == []


async def test_a_batch_that_means_two_things_is_refused(store: StreamStore) -> None:
    """A stream twice in a call, or an empty append, is the caller's mistake."""
    with pytest.raises(ValueError, match="once"):
        await store.append([await append_of(store, "a", 1), await append_of(store, "a", 2)])
    with pytest.raises(ValueError, match="at least one"):
        await store.append([await append_of(store, "a", 1, 0)])
    assert await store.append([]) == []


async def test_a_damaged_entry_is_not_read_over(store: StreamStore, raw: Redis, namespace: str) -> None:
    """A flipped byte or a hole in the log is told; no record is passed over in silence, and no other stream suffers."""
    await store.create("pump", b"")
    await append(store, "pump", 1, 3)
    await store.create("other", b"")
    [key] = [key async for key in raw.scan_iter(f"{namespace}:*:log:pump")]
    entry = bytearray(await raw.lindex(key, 1))
    entry[-1] ^= 1
    await raw.lset(key, 1, bytes(entry))
    for lost, message in ((False, "'pump': a log entry fails its checksum"), (True, "record 2 is not there")):
        if lost:
            await raw.lrem(key, 1, bytes(entry))
        damaged, other = await store.read_streams(["pump", "other"])
        assert isinstance(damaged, StoreCorrupt)
        assert message in str(damaged)
        assert isinstance(other, StoredStream)


@pytest.mark.parametrize("at", range(8, 16))
@pytest.mark.parametrize("snapshots", [0, 1, 2])
async def test_a_last_entry_that_lies_about_its_position_hides_nothing(
    store: StreamStore, raw: Redis, namespace: str, at: int, snapshots: int
) -> None:
    """It says how long the log is; whichever bit of that is flipped, the stream is told to be damaged."""
    await store.create("pump", b"")
    await append(store, "pump", 1, 9)
    for position in (4, 6)[:snapshots]:
        await snapshot(store, "pump", position)
    [key] = [key async for key in raw.scan_iter(f"{namespace}:*:log:pump")]
    last = await raw.lindex(key, -1)
    for bit in range(8):
        damaged = bytearray(last)
        damaged[at] ^= 1 << bit
        await raw.lset(key, -1, bytes(damaged))
        [found] = await store.read_streams(["pump"])
        assert isinstance(found, StoreCorrupt)


async def test_a_cut_entry_hinders_no_other_stream(store: StreamStore, raw: Redis, namespace: str) -> None:
    """To read it is an error of its own; in tails, appends and mends it counts as lost."""
    ids = ["pump", "other"]
    for stream_id in ids:
        await store.create(stream_id, b"")
        await append(store, stream_id, 1, 2)
    [key] = [key async for key in raw.scan_iter(f"{namespace}:*:log:pump")]
    await raw.lset(key, -1, b"cut")
    cut, other = await store.read_streams(ids)
    assert isinstance(cut, StoreCorrupt)
    assert isinstance(other, StoredStream)
    assert [tail.position for tail in await store.tails(ids) if tail] == [0, 2]
    batch = [await append_of(store, stream_id, 3) for stream_id in ids]
    assert await store.append(batch) == [Appended("mismatch", tail=0), Appended("appended", tail=3)]
    assert await store.mend([Mend("pump", batch[0].incarnation, b"", 2, b"state", None)]) == ["mended"]
    assert await append(store, "pump", 3) == Appended("appended", tail=3)


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_pages_hold_every_id_once(store: StreamStore, limit: int) -> None:
    """Following the cursors meets every stream exactly once, in pages of the size asked for."""
    made = {f"sensor-{number}" for number in range(20)} | {"ä", "x:y", "x y"}
    for stream_id in made:
        await store.create(stream_id, b"")
    pages = await _pages(store, limit)
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert sorted(stream_id for page in pages for stream_id in page) == sorted(made)
    assert await store.count() == len(made)


async def test_what_comes_and_goes_moves_no_page(store: StreamStore) -> None:
    """Ids that exist throughout are listed once, while others are made and deleted between the pages."""
    lasting = [f"lasting-{number}" for number in range(20)]
    for stream_id in lasting:
        await store.create(stream_id, b"")
    seen: list[str] = []
    cursor = None
    for turn in range(40):
        page, cursor = await store.list_ids(cursor, 2)
        seen += page
        await store.create(f"new-{turn}", b"")
        await store.delete(f"new-{turn - 1}")
        if cursor is None:
            break
    assert sorted(stream_id for stream_id in seen if stream_id in lasting) == sorted(lasting)


@given(st.text())
def test_a_foreign_cursor_is_refused_or_harmless(cursor: str) -> None:
    """Whatever a client sends as a cursor is a place in the listing or a clear error."""
    try:
        shard, _ = _read_cursor(cursor, 8)
    except BadCursor:
        return
    assert 0 <= shard < 8


async def test_a_bad_cursor_says_what_to_do(store: StreamStore) -> None:
    """The message tells to start again."""
    with pytest.raises(BadCursor, match="start again without a cursor"):
        await store.list_ids("page two, please", 10)


async def test_the_first_start_decides_how_many_shards(store: StreamStore, store_url: str, namespace: str) -> None:
    """Another number later would lose the streams, so the stored one wins."""
    later = await StreamStore.connect(store_url, namespace=namespace, num_shards=64)
    assert later.num_shards == store.num_shards == 8
    assert later.store_id == store.store_id
    await later.close()


async def test_a_newer_layout_is_refused(raw: Redis, store_url: str, namespace: str) -> None:
    """A store that a newer release has laid out is left alone."""
    await raw.hset(f"{namespace}:layout", mapping={"version": 2, "num_shards": 8})
    with pytest.raises(StoreRefused, match="newer release"):
        await StreamStore.connect(store_url, namespace=namespace)


async def test_namespaces_share_a_server_and_nothing_else(store: StreamStore, store_url: str, namespace: str) -> None:
    """A stream of one namespace does not exist in another."""
    await store.create("pump", b"")
    other = await StreamStore.connect(store_url, namespace=f"{namespace}-other")
    await other.acquire(range(other.num_shards), lease_s=LEASE_S)
    assert await other.read_streams(["pump"]) == [None]
    assert await other.list_ids(None, 10) == ([], None)
    assert other.store_id != store.store_id
    await other.close()


async def test_scripts_survive_a_server_that_forgot_them(store: StreamStore, raw: Redis) -> None:
    """After SCRIPT FLUSH, which a restart does too, every script is sent again."""
    await raw.script_flush()
    assert await store.create("pump", b"")
    await raw.script_flush()
    for call in (
        lambda: append(store, "pump"),
        lambda: store.acquire([0], lease_s=LEASE_S),
        lambda: store.read_streams(["pump"]),
        lambda: store.delete("pump"),
        store.renew,
        store.release,
    ):
        await call()
        await raw.script_flush()


async def test_more_calls_than_connections_wait_for_each_other(store: StreamStore, raw: Redis) -> None:
    """Many calls at once all come through, over a bounded number of connections."""
    before = (await raw.info("clients"))["connected_clients"]
    await store.create("pump", b"meta")
    assert await asyncio.gather(*(store.count() for _ in range(300))) == [1] * 300
    assert (await raw.info("clients"))["connected_clients"] <= before + 32


async def _pages(store: StreamStore, limit: int) -> list[list[str]]:
    page, cursor = await store.list_ids(None, limit)
    pages = [page]
    while cursor is not None:
        page, cursor = await store.list_ids(cursor, limit)
        pages.append(page)
    return pages
