"""Eviction: memory holds what it may, and the streams that leave it for others come back as they were."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from service.memory import MIN_BYTES
from service.problems import Problem
from service.shard import eviction
from service.shard.snapshots import SHORT_REPLAY
from service.shard.streams import HotStream
from service.store import StoreUnavailable

from .conftest import Fold, OpenHost, Rig, assert_same, samples, tiny, until

LONG = SHORT_REPLAY + 1


async def make(rig: Rig, *stream_ids: str, count: int = 1) -> None:
    """Streams with a few samples each, of which none is fresh any more."""
    for stream_id in stream_ids:
        await rig.host.create(stream_id, tiny())
        await rig.host.submit_samples(stream_id, samples(tiny(), count))
        hot(rig, stream_id).changed_at -= 2 * eviction.FRESH_S


def hot(rig: Rig, stream_id: str) -> HotStream:
    stream = rig.host._table.peek(stream_id)
    assert stream is not None
    return stream


def in_memory(rig: Rig) -> set[str]:
    return {stream.id for stream in rig.host._table.hot()}


def evicted(rig: Rig, reason: str) -> float:
    return rig.value("evictions_total", reason=reason)


async def test_any_number_of_streams_fits_into_a_bounded_memory(open_host: OpenHost) -> None:
    """300 streams, room for 40: however they are touched, all goes on as if all were in memory."""
    rig = await open_host(room_for=40)
    ids = [f"pump-{number}" for number in range(300)]
    memory = rig.host._room.memory
    assert memory is not None
    most = 0

    async def touch(some: Sequence[str], first: int, count: int) -> None:
        nonlocal most
        for stream_id in some:
            if first == 1:
                await rig.host.create(stream_id, tiny())
            sent = samples(tiny(), count, first=first, phase=ids.index(stream_id))
            await rig.host.submit_samples(stream_id, sent)
            most = max(most, rig.host._room.num_bytes)

    for first, count in ((1, 2), (3, LONG), (3 + LONG, 1)):
        await asyncio.gather(*(touch(ids[lane::10], first, count) for lane in range(10)))
    assert memory / 2 < most <= memory
    assert len(rig.host._table) <= 40
    assert evicted(rig, "memory") + evicted(rig, "memory_fresh") >= 3 * 260
    assert rig.value("hydrations_total") >= 3 * 260
    for number in (0, 7, 151, 299):
        fold = Fold(tiny()).apply(*samples(tiny(), LONG + 3, phase=number))
        assert_same(await rig.arrays(ids[number]), fold.arrays)


async def test_the_longest_untouched_leaves(open_host: OpenHost) -> None:
    """A look is a touch, too."""
    rig = await open_host(room_for=8)
    await make(rig, *"abcdefgh")
    await rig.host.describe("a")
    await make(rig, "i")
    assert in_memory(rig) == set("acdefghi") - {"c"}
    assert evicted(rig, "memory") == 2  # one more than needed: the next one finds room
    await rig.host.describe("b")
    assert in_memory(rig) == set("abdefghi")


async def test_a_fresh_stream_stays_as_long_as_others_can_go(open_host: OpenHost) -> None:
    """A store that syncs once a second may lose its last records, and memory could give them back."""
    rig = await open_host(room_for=3)
    await make(rig, *"abc")
    await rig.host.submit_samples("a", samples(tiny(), 1, first=2))
    for touched in "bc":
        await rig.host.describe(touched)
    await make(rig, "d")
    assert in_memory(rig) == set("acd")
    for stream_id in "acd":
        hot(rig, stream_id).changed_at += 2 * eviction.FRESH_S
    await make(rig, "e")
    assert in_memory(rig) == set("cde")
    assert (evicted(rig, "memory"), evicted(rig, "memory_fresh")) == (1, 1)


async def test_a_stream_with_records_under_way_stays(open_host: OpenHost) -> None:
    """Its answer comes from the memory that it has."""
    rig = await open_host(room_for=2)
    await make(rig, "a", "b")
    rig.store.open.clear()
    sending = asyncio.create_task(rig.host.submit_samples("a", samples(tiny(), 1, first=2)))
    await until(rig.store.waiting.is_set)
    await rig.host.create("c", tiny())
    assert in_memory(rig) == {"a", "c"}
    rig.store.open.set()
    await sending
    assert_same(await rig.arrays("a"), Fold(tiny()).apply(*samples(tiny(), 2)).arrays)


async def test_where_all_are_in_use_the_next_one_is_refused(
    open_host: OpenHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is not exceeded; who waited for long enough is told what to do, and later it works."""
    monkeypatch.setattr(eviction, "PATIENCE_S", 0.05)
    rig = await open_host(room_for=1)
    await make(rig, "a")
    rig.store.open.clear()
    sending = asyncio.create_task(rig.host.submit_samples("a", samples(tiny(), 1, first=2)))
    await until(rig.store.waiting.is_set)
    with pytest.raises(Problem, match="LIQUID_MEMORY") as refused:
        await rig.host.create("b", tiny())
    assert (refused.value.code, refused.value.retry_after_s) == ("overloaded", 1.0)
    rig.store.open.set()
    await sending
    await rig.host.create("b", tiny())
    assert in_memory(rig) == {"b"}


async def test_a_long_replay_is_spared_by_a_snapshot(open_host: OpenHost) -> None:
    """A short one costs less than to write and read the stream whole."""
    rig = await open_host(room_for=2)
    await make(rig, "short", count=SHORT_REPLAY)
    await make(rig, "long", count=LONG)
    await make(rig, "c", "d")
    assert in_memory(rig) == {"c", "d"}
    assert (await rig.stored("short")).snapshot is None
    snapshot = (await rig.stored("long")).snapshot
    assert snapshot is not None
    assert snapshot.position == LONG
    for stream_id, count in (("short", SHORT_REPLAY), ("long", LONG)):
        assert_same(await rig.arrays(stream_id), Fold(tiny()).apply(*samples(tiny(), count)).arrays)
    assert rig.value("replay_entries_total") == SHORT_REPLAY


async def test_a_store_that_takes_no_snapshots_lets_only_short_replays_go(
    open_host: OpenHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would have to be replayed at length stays; where that is all there is, the store is to blame."""
    rig = await open_host(room_for=2)
    await make(rig, "long", count=LONG)
    await make(rig, "short")

    async def unavailable(_: object) -> None:
        raise StoreUnavailable("the test has cut it off", outcome_unknown=True)

    with monkeypatch.context() as patch:
        patch.setattr(rig.store, "write_snapshots", unavailable)
        await make(rig, "c")
        assert in_memory(rig) == {"long", "c"}
        await rig.host.submit_samples("c", samples(tiny(), LONG, first=2))
        with pytest.raises(Problem, match="does not answer") as refused:
            await rig.host.create("d", tiny())
        assert refused.value.code == "store_unavailable"
        assert in_memory(rig) == {"long", "c"}
    await until(lambda: rig.host.readiness().ready)
    await rig.host.create("d", tiny())
    assert_same(await rig.arrays("long"), Fold(tiny()).apply(*samples(tiny(), LONG)).arrays)


async def test_who_looks_while_streams_come_and_go_sees_them(open_host: OpenHost) -> None:
    """Whether a stream leaves before, while or after somebody reads it."""
    rig = await open_host(room_for=2)
    await make(rig, *"abcdef")

    async def look(stream_id: str) -> None:
        for _ in range(10):
            info = await rig.host.describe(stream_id)
            assert (info.id, info.last_seq) == (stream_id, 1)

    async with asyncio.timeout(60):
        await asyncio.gather(*(look(stream_id) for stream_id in "abcdef" for _ in range(2)))
    assert len(rig.host._table) <= 2


async def test_a_stream_can_be_deleted_while_room_is_made_for_it(open_host: OpenHost) -> None:
    """Neither waits for the other for ever."""
    rig = await open_host(room_for=1)
    for _ in range(5):
        await make(rig, "cold")
        await make(rig, "long", count=LONG)
        async with asyncio.timeout(30):
            outcomes = await asyncio.gather(rig.host.describe("cold"), rig.host.delete("cold"), return_exceptions=True)
        assert outcomes[1] is None
        assert not isinstance(outcomes[0], Exception) or getattr(outcomes[0], "code", "") == "stream_not_found"
        await rig.host.delete("long")
    assert in_memory(rig) == set()
    assert rig.host._room.models() == []


async def test_a_stream_that_can_never_fit_is_not_made(open_host: OpenHost) -> None:
    """It takes no id, and the refusal says how much memory it would need."""
    rig = await open_host(memory=MIN_BYTES)
    huge = tiny(
        features=[f"f{number}" for number in range(64)],
        cell={"kind": "cfc", "units": 256, "backbone_units": 256},
        learner={"window": 256},
        horizon=list(range(1, 17)),
    )
    with pytest.raises(Problem, match=rf"takes \d+ bytes of memory, .* may use {MIN_BYTES}") as refused:
        await rig.host.create("huge", huge)
    assert refused.value.code == "spec_invalid"
    assert await rig.store.count() == 0
    assert rig.host._room.models() == []
