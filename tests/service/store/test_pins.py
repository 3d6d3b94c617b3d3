"""Pinned states: kept until they are let go, bounded, and never those of another stream."""

from __future__ import annotations

import pytest

from service.store import Mend, Snapshot, StoreCorrupt, StreamStore

from .streams import append, entries, incarnation_of, snapshot


async def pin(store: StreamStore, position: int, incarnation: str | None = None, most: int = 8) -> str:
    """Pin a state that is told by its position."""
    of = incarnation or await incarnation_of(store, "s")
    return await store.pins.pin(Snapshot("s", of, position, b"state %d" % position), b"info %d" % position, most=most)


async def kept(store: StreamStore) -> list[tuple[int, bytes | None]]:
    return [(each.position, each.info) for each in await store.pins.kept("s", await incarnation_of(store, "s"))]


@pytest.fixture
async def stream(store: StreamStore) -> str:
    """A stream of ten records, with snapshots at 4 and 8; its incarnation."""
    await store.create("s", b"meta")
    for position in (4, 8):
        await append(store, "s", position - 3, 4)
        await snapshot(store, "s", position)
    await append(store, "s", 9, 2)
    return await incarnation_of(store, "s")


async def test_what_is_pinned_can_be_read(store: StreamStore, stream: str) -> None:
    """And so can the two snapshots; a state that is nowhere is none."""
    assert await pin(store, 10) == "pinned"
    for position in (4, 8, 10):
        found = await store.pins.read("s", stream, position)
        assert found == Snapshot("s", stream, position, b"state %d" % position)
    assert await store.pins.read("s", stream, 5) is None
    assert await kept(store) == [(4, None), (8, None), (10, b"info 10")]


async def test_a_pinned_state_outlives_the_snapshots(store: StreamStore, stream: str) -> None:
    """They move on, it stays until it is let go, once."""
    await pin(store, 8)
    for position in (12, 16):
        await append(store, "s", position - 1 if position == 12 else 13, 2 if position == 12 else 4)
        await snapshot(store, "s", position)
    assert await kept(store) == [(8, b"info 8"), (12, None), (16, None)]
    assert await store.pins.unpin("s", stream, 8)
    assert not await store.pins.unpin("s", stream, 8)
    assert await store.pins.read("s", stream, 8) is None


@pytest.mark.usefixtures("stream")
async def test_no_more_are_kept_than_may_be(store: StreamStore) -> None:
    """One that is there already may be pinned again; the first one's info stands."""
    assert [await pin(store, position, most=2) for position in (5, 6, 7, 5)] == ["pinned", "pinned", "full", "pinned"]


async def test_another_incarnation_has_none_of_them(store: StreamStore, stream: str) -> None:
    """Not those of the stream before, nor those that arrive too late for it."""
    await pin(store, 10)
    await store.delete("s")
    await store.create("s", b"meta")
    assert await kept(store) == []
    assert await pin(store, 11, stream) == "missing"
    assert not await store.pins.unpin("s", stream, 10)
    assert await store.pins.read("s", stream, 10) is None
    assert await kept(store) == []


async def test_mending_leaves_them_alone(store: StreamStore, stream: str) -> None:
    """A store that lost the end of a log still has what was pinned before."""
    await pin(store, 8)
    [last] = entries(store, "s", 20)
    mend = Mend("s", stream, b"meta", position=20, blob=b"state 20", last_entry=last)
    assert await store.mend([mend]) == ["mended"]
    assert await kept(store) == [(8, b"info 8"), (20, None)]


async def test_a_damaged_state_is_not_read(store: StreamStore, stream: str, raw) -> None:
    """Its checksum tells."""
    await pin(store, 10)
    key = store._keys.snapshots("s")
    data = await raw.hget(key, "pin:10")
    await raw.hset(key, "pin:10", data[:-1] + b"?")
    with pytest.raises(StoreCorrupt):
        await store.pins.read("s", stream, 10)
