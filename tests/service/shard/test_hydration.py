"""Hydration: cold streams come into memory together, those that somebody waits for first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from liquid_core.engine.engine import build_engine
from liquid_core.engine.records import Record
from service.problems import Problem
from service.shard import models
from service.shard.hydration import MAX_IDLE_TOGETHER, MAX_TOGETHER

from .conftest import FaultyStore, Fold, OpenHost, Rig, assert_same, samples, tiny


async def make(rig: Rig, *stream_ids: str, records: int = 3) -> None:
    """Streams with a few samples each, all of them cold; those whose name begins with "wired" have an LTC cell."""
    for number, stream_id in enumerate(stream_ids):
        await rig.host.create(stream_id, spec_of(stream_id))
        await rig.host.submit_samples(stream_id, samples(spec_of(stream_id), records, phase=number))
    await rig.host._table.evict(rig.host._table.hot())


def spec_of(stream_id: str) -> Any:
    return tiny("wired" if stream_id.startswith("wired") else "forecast")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[list[Record]]:
    """The records of each call of an engine, of those that are built from now on."""
    made: list[list[Record]] = []

    def watched(*arguments: Any, **options: Any) -> Any:
        engine = build_engine(*arguments, **options)
        step = engine.step

        def watched_step(slab: Any, slots: Sequence[int], records: Sequence[Record]) -> Any:
            made.append(list(records))
            return step(slab, slots, records)

        monkeypatch.setattr(engine, "step", watched_step)
        return engine

    monkeypatch.setattr(models, "build_engine", watched)
    return made


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The streams of each call that reads some."""
    made: list[list[str]] = []
    read = FaultyStore.read_streams

    async def watched(self: FaultyStore, stream_ids: Sequence[str]) -> Any:
        made.append(list(stream_ids))
        return await read(self, stream_ids)

    monkeypatch.setattr(FaultyStore, "read_streams", watched)
    return made


async def test_streams_that_are_touched_together_come_together(
    rig: Rig, reads: list[list[str]], steps: list[list[Record]]
) -> None:
    """Read in one call, and replayed in one call a model; each is what it was."""
    ids = [f"{kind}-{number}" for number in range(MAX_TOGETHER // 2) for kind in ("dense", "wired")]
    await make(rig, *ids)
    reads.clear()
    steps.clear()
    await asyncio.gather(*(rig.host.describe(stream_id) for stream_id in ids for _ in range(2)))
    assert [sorted(some) for some in reads] == [sorted(ids)]
    assert [len(records) for records in steps] == [3 * len(ids) // 2] * 2
    for number, stream_id in enumerate(ids):
        spec = spec_of(stream_id)
        assert_same(await rig.arrays(stream_id), Fold(spec).apply(*samples(spec, 3, phase=number)).arrays)


async def test_more_than_fit_into_one_call_come_in_several(rig: Rig, reads: list[list[str]]) -> None:
    """Each is read once."""
    ids = [f"pump-{number}" for number in range(2 * MAX_TOGETHER + 5)]
    await make(rig, *ids, records=1)
    reads.clear()
    await asyncio.gather(*(rig.host.describe(stream_id) for stream_id in ids))
    assert max(map(len, reads)) <= MAX_TOGETHER
    assert sorted(stream_id for some in reads for stream_id in some) == sorted(ids)


async def test_one_that_cannot_be_replayed_hinders_no_other(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails alone, and leaves no place taken in the slab."""
    ids = [f"pump-{number}" for number in range(4)]
    await make(rig, *ids)

    def touchy(*arguments: Any, **options: Any) -> Any:
        engine = build_engine(*arguments, **options)
        step = engine.step

        def fails(slab: Any, slots: Sequence[int], records: Sequence[Record]) -> Any:
            results = step(slab, slots, records)
            if any(record == bad for record in records):
                raise RuntimeError("the test has broken it")
            return results

        monkeypatch.setattr(engine, "step", fails)
        return engine

    bad = (await rig.stored("pump-2")).entries[-1].record
    monkeypatch.setattr(models, "build_engine", touchy)
    outcomes = await asyncio.gather(*(rig.host.describe(stream_id) for stream_id in ids), return_exceptions=True)
    assert [isinstance(outcome, RuntimeError) for outcome in outcomes] == [False, False, True, False]
    assert [len(model.slab) for model in rig.host._room.models()] == [3]
    for number in (0, 1, 3):
        assert_same(await rig.arrays(f"pump-{number}"), Fold(tiny()).apply(*samples(tiny(), 3, phase=number)).arrays)


async def test_who_goes_away_leaves_nothing_half_done(rig: Rig) -> None:
    """A stream that was asked for comes, though nobody waits any more; its place in the slab is known."""
    ids = [f"pump-{number}" for number in range(6)]
    await make(rig, *ids)
    for _ in range(3):
        asking = [asyncio.create_task(rig.host.describe(stream_id)) for stream_id in ids]
        await asyncio.sleep(0.002)
        for task in asking[::2]:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    await asyncio.gather(*rig.host._table._coming.values())
    assert [len(model.slab) for model in rig.host._room.models()] == [len(rig.host._table)] == [6]


async def test_a_touched_stream_comes_before_those_that_nobody_waits_for(rig: Rig, reads: list[list[str]]) -> None:
    """Also if it is one of them; what is on its way already is finished first."""
    ids = [f"pump-{number:02}" for number in range(5 * MAX_IDLE_TOGETHER)]
    await make(rig, *ids, records=1)
    reads.clear()
    warming = asyncio.create_task(rig.host._table.warm(ids))
    await asyncio.sleep(0)
    await rig.host.describe(ids[-1])
    assert sum([ids[-1]] == some for some in reads) == 1
    assert len(reads) <= 3
    assert await warming
    assert len(rig.host._table) == len(ids)


async def test_streams_that_nobody_touched_leave_first(open_host: OpenHost) -> None:
    """They came last, and went to the front of those that leave."""
    rig = await open_host(room_for=3)
    await make(rig, "touched", "idle", "new", records=1)
    await rig.host.describe("touched")
    assert await rig.host._table.warm(["idle"])
    await rig.host.describe("new")
    rig.host._room.memory = rig.host._room.num_bytes  # it is full
    await rig.host.create("another", tiny())
    assert {stream.id for stream in rig.host._table.hot()} == {"touched", "new", "another"}


async def test_a_warm_up_pushes_nobody_out(open_host: OpenHost) -> None:
    """Where there is no room it says so; somebody who waits for the very stream gets it all the same."""
    rig = await open_host(room_for=2)
    await make(rig, "a", "b", "c", records=1)
    await asyncio.gather(rig.host.describe("a"), rig.host.describe("b"))
    warming = asyncio.create_task(rig.host._table.warm(["c"]))
    assert not await warming
    assert {stream.id for stream in rig.host._table.hot()} == {"a", "b"}
    warming = asyncio.create_task(rig.host._table.warm(["c"]))
    await asyncio.sleep(0)
    assert (await rig.host.describe("c")).last_seq == 1


async def test_a_stop_tells_whoever_waits(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody hangs on a stream that never comes."""
    await make(rig, "pump")
    reading = asyncio.Event()

    async def never(*_: Any) -> None:
        reading.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(FaultyStore, "read_streams", never)
    asking = [asyncio.create_task(rig.host.describe(stream_id)) for stream_id in ("pump", "other")]
    await reading.wait()
    await rig.host.drain()
    for task in asking:
        with pytest.raises(Problem, match="stopping"):
            await task
