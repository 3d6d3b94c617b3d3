"""Snapshots: how much a crash leaves to replay, and that what is replayed gives the same stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from redis.asyncio import Redis

from liquid_core import state
from service.problems import Problem
from service.store import Append, Appended, Snapshot, SnapshotOutcome, StoredStream, StoreUnavailable

from .conftest import FaultyStore, Fold, OpenHost, Rig, assert_same, samples, tiny

EVERY = 8


@pytest.mark.parametrize("every", [1, 3, EVERY, 64])
async def test_a_replay_is_never_longer_than_it_may_be(
    open_host: OpenHost, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """At no moment: whether records come alone, eight of a stream in a micro-batch, or a thousand in one request."""
    rig, spec = await open_host(snapshot_every=every), tiny()
    longest = 0
    append = FaultyStore.append

    async def watched(self: FaultyStore, batch: Sequence[Append]) -> list[Appended]:
        nonlocal longest
        outcomes = await append(self, batch)
        for stored in await self.read_streams([entry.stream_id for entry in batch]):
            assert isinstance(stored, StoredStream)
            longest = max(longest, len(stored.entries))
        return outcomes

    monkeypatch.setattr(FaultyStore, "append", watched)
    for stream_id in ("pump", "valve"):
        await rig.host.create(stream_id, spec)
    sent = samples(spec, 200)
    start = 0
    for size in (1, 3, 8, 20, 7, 1, 1, 19, 140):
        some = sent[start : start + size]
        await asyncio.gather(*(rig.host.submit_samples(stream_id, some) for stream_id in ("pump", "valve")))
        start += size
        await rig.at_rest()
    assert every - 8 < longest <= every
    # As after a crash: a second host, without the first one's last snapshots.
    second = await open_host()
    for stream_id in ("pump", "valve"):
        assert_same(await second.arrays(stream_id), Fold(spec).apply(*sent).arrays)
    assert second.value("replay_entries_total") <= 2 * every


async def test_first_snapshots_are_staggered(open_host: OpenHost) -> None:
    """Streams that tick together do not all fall due together."""
    rig = await open_host(snapshot_every=EVERY)
    spec = tiny()
    ids = [f"pump-{n}" for n in range(12)]
    for stream_id in ids:
        await rig.host.create(stream_id, spec)
    written: set[int] = set()
    first: dict[str, int] = {}
    for one in samples(spec, EVERY):
        await asyncio.gather(*(rig.host.submit_samples(stream_id, [one]) for stream_id in ids))
        await rig.at_rest()
        for hot in rig.host._table.hot():
            if hot.snapshot_position:
                first.setdefault(hot.id, hot.snapshot_position)
                written.add(hot.snapshot_position)
    assert len(first) == len(ids)
    assert min(written) > EVERY // 2
    assert len(written) > 2


async def test_a_snapshot_is_the_state_at_its_position(open_host: OpenHost) -> None:
    """Another host that reads it has nothing to replay when nothing came after."""
    rig = await open_host(snapshot_every=1)
    spec = tiny("wired")
    await rig.host.create("pump", spec)
    await rig.host.submit_samples("pump", samples(spec, 5))
    await rig.host.drain()
    second = await open_host()
    snapshot = (await second.stored("pump")).snapshot
    assert snapshot is not None
    assert snapshot.position == 5
    assert_same(await second.arrays("pump"), Fold(spec).apply(*samples(spec, 5)).arrays)
    assert second.value("replay_entries_total") == 0


@pytest.mark.parametrize("which", ["newest", "both"])
async def test_a_damaged_snapshot_costs_a_longer_replay(open_host: OpenHost, store_url: str, which: str) -> None:
    """The one before it and the log give the same stream; with both damaged and the log cut, it is told apart."""
    rig = await open_host(snapshot_every=EVERY)
    spec = tiny()
    await rig.host.create("pump", spec)
    await rig.host.create("other", spec)
    sent = samples(spec, 40)
    for start in range(0, 40, 5):
        await rig.host.submit_samples("pump", sent[start : start + 5])
    await rig.host.drain()
    await damage(store_url, rig.store._layout.keys.snapshots("pump"), which)
    second = await open_host()
    if which == "newest":
        assert_same(await second.arrays("pump"), Fold(spec).apply(*sent).arrays)
        assert 0 < second.value("replay_entries_total") <= 2 * EVERY
    else:
        with pytest.raises(Problem, match="cannot be read") as refused:
            await second.host.describe("pump")
        assert refused.value.code == "internal"
    # A stream that is damaged hides no other one.
    listed = [info.id for info in (await second.host.list(None, 10)).streams]
    assert sorted(listed) == ["other", "pump"]


async def test_a_stream_of_another_release_is_told_apart(open_host: OpenHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no bug and no damage: who asks hears what to do, and then it works."""
    spec = tiny()
    with another_release(monkeypatch):
        rig = await open_host(snapshot_every=EVERY)
        await rig.host.create("pump", spec)
        await rig.host.submit_samples("pump", samples(spec, EVERY))
        await rig.host.drain()
    second = await open_host()
    for attempt in (
        second.host.describe("pump"),
        second.host.create("pump", spec),
        second.host.submit_samples("pump", samples(spec, 1, first=EVERY + 1)),
    ):
        with pytest.raises(Problem, match="delete the stream") as refused:
            await attempt
        assert refused.value.code == "stream_outdated"
    await second.host.delete("pump")
    await second.host.create("pump", spec)
    await second.host.submit_samples("pump", samples(spec, 3))
    assert_same(await second.arrays("pump"), Fold(spec).apply(*samples(spec, 3)).arrays)


@contextmanager
def another_release(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What writes and reads states of another version, in this process."""
    caches = (state._header, state._metadata)
    with monkeypatch.context() as patch:
        patch.setattr(state, "FORMAT_VERSION", state.FORMAT_VERSION - 1)
        for cache in caches:
            cache.cache_clear()
        yield
    for cache in caches:
        cache.cache_clear()


async def damage(store_url: str, key: str, which: str) -> None:
    """Flip a bit in the middle of a stream's snapshots."""
    raw = Redis.from_url(store_url)
    newest = (await raw.hget(key, "newest")).decode()
    for generation in (newest,) if which == "newest" else ("a", "b"):
        blob = bytearray(await raw.hget(key, generation))
        blob[len(blob) // 2] ^= 1
        await raw.hset(key, generation, bytes(blob))
    await raw.aclose()


async def test_a_store_that_takes_no_snapshots_takes_no_more_records_than_can_be_replayed(
    open_host: OpenHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples are answered as long as there is room in the log, then refused; once it takes one, all goes on."""
    rig = await open_host(snapshot_every=EVERY)
    spec = tiny()
    await rig.host.create("pump", spec)
    sent = samples(spec, EVERY + 2)
    with monkeypatch.context() as patch:

        async def unavailable(_: object) -> None:
            raise StoreUnavailable("the test has cut it off", outcome_unknown=True)

        patch.setattr(rig.store, "write_snapshots", unavailable)
        await rig.host.submit_samples("pump", sent[:EVERY])
        await rig.at_rest()
        with pytest.raises(Problem, match="takes no snapshot") as refused:
            await rig.host.submit_samples("pump", sent[EVERY:])
        assert (refused.value.code, refused.value.retry_after_s) == ("store_unavailable", 1.0)
        assert (await rig.host.describe("pump")).last_seq == EVERY
    assert rig.value("snapshots_total") == 0
    await rig.host.submit_samples("pump", sent[EVERY:])
    await rig.at_rest()
    assert rig.value("snapshots_total") == 1
    second = await open_host()
    assert_same(await second.arrays("pump"), Fold(spec).apply(*sent).arrays)


async def test_a_deletion_waits_for_snapshots(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old stream's state could otherwise be written as the snapshot of a new one of the same id."""
    spec = tiny()
    await rig.host.create("pump", spec)
    await rig.host.submit_samples("pump", samples(spec, 2))
    write, reached, go_on = rig.store.write_snapshots, asyncio.Event(), asyncio.Event()

    async def slow(snapshots: Sequence[Snapshot]) -> list[SnapshotOutcome]:
        reached.set()
        await go_on.wait()
        return await write(snapshots)

    monkeypatch.setattr(rig.store, "write_snapshots", slow)
    writing = asyncio.create_task(rig.host._snapshotter.write(rig.host._table.hot()))
    await reached.wait()
    anew = asyncio.create_task(_make_anew(rig))
    await asyncio.sleep(0.05)
    assert not anew.done()
    go_on.set()
    await asyncio.gather(writing, anew)
    assert (await rig.stored("pump")).snapshot is None
    assert (await rig.host.describe("pump")).last_seq == 3


async def _make_anew(rig: Rig) -> None:
    await rig.host.delete("pump")
    await rig.host.create("pump", tiny())
    await rig.host.submit_samples("pump", samples(tiny(), 3, first=1))
