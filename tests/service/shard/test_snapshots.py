"""Snapshots: how much a crash leaves to replay, and that what is replayed gives the same stream."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from service.problems import Problem
from service.shard.batcher import MAX_PER_STREAM
from service.store import Snapshot, SnapshotOutcome, StoreUnavailable

from .conftest import Fold, OpenHost, Rig, assert_same, samples, tiny

EVERY = 8


async def test_a_replay_is_short(open_host: OpenHost) -> None:
    """At most `snapshot_every` records and those of one micro-batch, whenever the crash comes."""
    rig = await open_host(snapshot_every=EVERY)
    spec = tiny()
    await rig.host.create("pump", spec)
    sent = samples(spec, 60)
    start = 0
    for size in (1, 3, 8, 20, 7, 1, 1, 19):
        await rig.host.submit_samples("pump", sent[start : start + size])
        start += size
        await rig.at_rest()
        hot = rig.host._table.peek("pump")
        assert hot is not None
        assert hot.position == start
        assert hot.replay_length < EVERY + MAX_PER_STREAM
    # As after a crash: a second host, without the first one's last snapshots.
    second = await open_host()
    assert_same(await second.arrays("pump"), Fold(spec).apply(*sent).arrays)
    assert second.value("replay_entries_total") < EVERY + MAX_PER_STREAM


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
        assert 0 < second.value("replay_entries_total") <= 2 * (EVERY + MAX_PER_STREAM)
    else:
        with pytest.raises(Problem, match="cannot be read") as refused:
            await second.host.describe("pump")
        assert refused.value.code == "internal"
    # A stream that is damaged hides no other one.
    listed = [info.id for info in (await second.host.list(None, 10)).streams]
    assert sorted(listed) == (["other", "pump"] if which == "newest" else ["other"])


async def damage(store_url: str, key: str, which: str) -> None:
    """Flip a bit in the middle of a stream's snapshots."""
    raw = Redis.from_url(store_url)
    newest = (await raw.hget(key, "newest")).decode()
    for generation in (newest,) if which == "newest" else ("a", "b"):
        blob = bytearray(await raw.hget(key, generation))
        blob[len(blob) // 2] ^= 1
        await raw.hset(key, generation, bytes(blob))
    await raw.aclose()


async def test_a_snapshot_that_fails_costs_nothing_but_replay(
    open_host: OpenHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples are answered all the same, and the next micro-batch tries again."""
    rig = await open_host(snapshot_every=EVERY)
    spec = tiny()
    await rig.host.create("pump", spec)
    with monkeypatch.context() as patch:

        async def unavailable(_: object) -> None:
            raise StoreUnavailable("the test has cut it off", outcome_unknown=True)

        patch.setattr(rig.store, "write_snapshots", unavailable)
        await rig.host.submit_samples("pump", samples(spec, 2 * EVERY))
        await rig.at_rest()
    assert rig.value("snapshots_total") == 0
    await rig.host.submit_samples("pump", samples(spec, 1, first=2 * EVERY + 1))
    await rig.at_rest()
    assert rig.value("snapshots_total") == 1
    second = await open_host()
    assert_same(await second.arrays("pump"), Fold(spec).apply(*samples(spec, 2 * EVERY + 1)).arrays)


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
