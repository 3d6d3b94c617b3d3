"""Streams in the store: made, listed, logged, deleted."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from service.store import BadCursor, StoreCorrupt, StoreRefused, StreamStore
from service.store.store import _read_cursor


async def test_a_stream_is_made_once(store: StreamStore) -> None:
    """A second `create` says so and leaves the first one's meta."""
    assert await store.create("pump", b"first")
    assert not await store.create("pump", b"second")
    assert await store.read_meta("pump") == b"first"


async def test_a_deleted_stream_leaves_nothing(store: StreamStore, raw: Redis, make_append) -> None:
    """Meta, log, snapshots and listing are gone, and the id can be used anew from position 1."""
    before = {key async for key in raw.scan_iter("*")}
    await store.create("pump", b"meta")
    await store.append([make_append(store, "pump", 1, 3)])
    assert await store.delete("pump")
    assert {key async for key in raw.scan_iter("*")} == before
    assert not await store.delete("pump")
    await store.create("pump", b"meta")
    assert await store.append([make_append(store, "pump")]) == ["appended"]


async def test_what_is_appended_is_read(store: StreamStore, make_append) -> None:
    """Entries come back in order, with their positions and the writer's epoch, from any position on."""
    await store.create("pump", b"")
    await store.append([make_append(store, "pump", 1, 2)])
    await store.append([make_append(store, "pump", 3, 2)])
    entries = await store.read_log("pump", 1)
    assert [entry.position for entry in entries] == [2, 3, 4]
    assert [entry.record.x for entry in entries] == [(1.0,), (1.5,), (2.0,)]
    assert {entry.token_epoch for entry in entries} == {store.epoch_of("pump")}
    assert await store.read_log("pump", 4) == []


async def test_a_repeated_append_changes_nothing(store: StreamStore, make_append) -> None:
    """Bytes that are in the log already are found there, wherever they are."""
    await store.create("pump", b"")
    first, second = make_append(store, "pump", 1, 3), make_append(store, "pump", 4, 2)
    assert [await store.append([batch]) for batch in (first, second)] == [["appended"], ["appended"]]
    assert [await store.append([batch]) for batch in (second, first)] == [["already"], ["already"]]
    assert len(await store.read_log("pump")) == 5


@pytest.mark.parametrize(("first", "count"), [(5, 1), (3, 2), (2, 9)])
async def test_an_append_elsewhere_than_at_the_end_is_refused(
    store: StreamStore, make_append, first: int, count: int
) -> None:
    """Neither a gap nor an overlap reaches the log."""
    await store.create("pump", b"")
    await store.append([make_append(store, "pump", 1, 3)])
    assert await store.append([make_append(store, "pump", first, count)]) == ["mismatch"]
    assert len(await store.read_log("pump")) == 3


async def test_other_bytes_at_the_same_place_are_refused(store: StreamStore, make_append) -> None:
    """A record that differs from the one at its position does not replace it."""
    await store.create("pump", b"")
    await store.append([make_append(store, "pump", 1, 2)])
    other = make_append(store, "pump", 1, 2)
    other.entries[1] = make_append(store, "pump", 7).entries[0]
    assert await store.append([other]) == ["mismatch"]


async def test_one_stream_of_a_micro_batch_does_not_hinder_the_others(store: StreamStore, make_append) -> None:
    """Each stream of a call gets its own outcome."""
    for stream_id in ("a", "b", "c"):
        await store.create(stream_id, b"")
    await store.append([make_append(store, "b", 1, 2)])
    batch = [make_append(store, "a", 1, 40), make_append(store, "b", 1, 2), make_append(store, "c", 2)]
    assert await store.append([*batch, make_append(store, "d")]) == ["appended", "already", "mismatch", "missing"]
    assert [len(entries) for entries in await store.read_logs([("a", 0), ("b", 1), ("c", 0), ("d", 0)])] == [
        40,
        1,
        0,
        0,
    ]


async def test_a_batch_that_means_two_things_is_refused(store: StreamStore, make_append) -> None:
    """A stream twice in a call, or an empty append, is the caller's mistake."""
    with pytest.raises(ValueError, match="once"):
        await store.append([make_append(store, "a", 1), make_append(store, "a", 2)])
    with pytest.raises(ValueError, match="at least one"):
        await store.append([make_append(store, "a", 1, 0)])
    assert await store.append([]) == []


async def test_a_damaged_entry_is_not_read_over(store: StreamStore, raw: Redis, namespace: str, make_append) -> None:
    """A flipped byte or a hole in the log raises; a record is never passed over in silence."""
    await store.create("pump", b"")
    await store.append([make_append(store, "pump", 1, 3)])
    [key] = [key async for key in raw.scan_iter(f"{namespace}:*:log:pump")]
    entry = bytearray(await raw.lindex(key, 1))
    entry[-1] ^= 1
    await raw.lset(key, 1, bytes(entry))
    with pytest.raises(StoreCorrupt, match=r"'pump'.*checksum"):
        await store.read_log("pump")
    assert [found.position for found in await store.read_log("pump", 2)] == [3]
    await raw.lrem(key, 1, bytes(entry))
    with pytest.raises(StoreCorrupt, match="record 2 is not there"):
        await store.read_log("pump", 1)


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
    assert await other.read_meta("pump") is None
    assert await other.list_ids(None, 10) == ([], None)
    await other.close()


async def test_scripts_survive_a_server_that_forgot_them(store: StreamStore, raw: Redis, make_append) -> None:
    """After SCRIPT FLUSH, which a restart does too, every script is sent again."""
    await raw.script_flush()
    assert await store.create("pump", b"")
    await raw.script_flush()
    assert await store.append([make_append(store, "pump")]) == ["appended"]
    await raw.script_flush()
    assert await store.acquire([0])
    await raw.script_flush()
    assert await store.delete("pump")


async def test_more_calls_than_connections_wait_for_each_other(store: StreamStore, raw: Redis) -> None:
    """Many calls at once all come through, over a bounded number of connections."""
    before = (await raw.info("clients"))["connected_clients"]
    await store.create("pump", b"meta")
    assert await asyncio.gather(*(store.read_meta("pump") for _ in range(300))) == [b"meta"] * 300
    assert (await raw.info("clients"))["connected_clients"] <= before + 32


async def _pages(store: StreamStore, limit: int) -> list[list[str]]:
    page, cursor = await store.list_ids(None, limit)
    pages = [page]
    while cursor is not None:
        page, cursor = await store.list_ids(cursor, limit)
        pages.append(page)
    return pages
