"""Streams in memory: read once however many ask, and forgotten without a trace."""

from __future__ import annotations

import asyncio
import gc

import pytest

from service.messages import PredictIn
from service.problems import Problem
from service.shard.streams import StreamForgotten, StreamTable
from service.store import StoreUnavailable

from .conftest import Fold, OpenHost, Rig, assert_same, labels, refusals, samples, tiny, until


def table_of(rig: Rig) -> StreamTable:
    return rig.host._table


async def test_a_cold_stream_is_read_once(rig: Rig, open_host: OpenHost) -> None:
    """However many touch it at the same moment."""
    await rig.host.create("pump", tiny())
    await rig.host.submit_samples("pump", samples(tiny(), 5))
    second = await open_host()
    infos = await asyncio.gather(*(second.host.describe("pump") for _ in range(8)))
    assert {info.last_seq for info in infos} == {5}
    assert second.value("hydrations_total") == 1
    assert second.value("replay_entries_total") == 5


@pytest.mark.parametrize("task", ["forecast", "regression", "classification", "wired"])
async def test_a_stream_that_was_forgotten_goes_on(rig: Rig, task: str) -> None:
    """Read anew in the middle of everything, it is the stream that it was, and takes and refuses the same."""
    spec = tiny(task)
    await rig.host.create("pump", spec)
    fold = Fold(spec)
    for first in range(1, 13, 3):
        sent = samples(spec, 3, first=first)
        assert refusals(await rig.host.submit_samples("pump", sent)) == [None] * 3
        fold.apply(*sent)
        if task in ("regression", "classification"):
            late = labels(spec, [first + 1 if first % 2 else first])
            assert refusals(await rig.host.submit_labels("pump", late)) == [None]
            fold.apply(*late)
        hot = table_of(rig).peek("pump")
        assert hot is not None
        before = vars_of(hot.ledger)
        await table_of(rig).abandon(hot)
        assert table_of(rig).peek("pump") is None
        assert vars_of((await table_of(rig).get("pump")).ledger) == before
    assert_same(await rig.arrays("pump"), fold.arrays)


def vars_of(ledger: object) -> dict[str, object]:
    """What a ledger remembers; NaN as text, to be compared."""
    return {name: repr(value) for name, value in vars(ledger).items()}


async def test_looking_at_a_stream_that_is_forgotten_looks_again(rig: Rig) -> None:
    """Whoever looks while it is read anew waits for it, and does not hear that it was gone."""
    await rig.host.create("pump", tiny())
    await rig.host.submit_samples("pump", samples(tiny(), 3))
    for look in (
        rig.host.describe("pump"),
        rig.host.predict("pump", PredictIn()),
        rig.host.export_state("pump"),
        rig.host.last_seqs(["pump"]),
    ):
        hot = await table_of(rig).get("pump")
        blocked = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold(loop: asyncio.AbstractEventLoop = loop, blocked: asyncio.Event = blocked) -> None:
            asyncio.run_coroutine_threadsafe(blocked.wait(), loop).result(10)

        holding = asyncio.create_task(rig.host._room.run(hold))
        looking = asyncio.create_task(look)
        await asyncio.sleep(0)  # it waits for the engine's thread, with the stream in its hand
        forgetting = asyncio.create_task(table_of(rig).abandon(hot))
        await asyncio.sleep(0)
        blocked.set()
        await asyncio.gather(holding, forgetting, looking)
    assert rig.value("hydrations_total") == 4


async def test_a_forgotten_streams_memory_is_not_read(rig: Rig) -> None:
    """Its slot may be another stream's."""
    await rig.host.create("pump", tiny())
    hot = await table_of(rig).get("pump")
    await table_of(rig).abandon(hot)
    await table_of(rig).abandon(hot)
    for look in (hot.arrays, hot.state):
        with pytest.raises(StreamForgotten):
            await rig.host._room.run(look)


async def test_ids_that_come_and_go_leave_nothing(rig: Rig) -> None:
    """Neither locks, nor models, nor places in a slab."""
    for n in range(20):
        await rig.host.create(f"pump-{n}", tiny(seed=n % 3))
        await rig.host.delete(f"pump-{n}")
        with pytest.raises(Problem, match="no stream"):
            await rig.host.describe(f"nobody-{n}")
    gc.collect()
    assert len(table_of(rig)) == 0
    assert len(table_of(rig)._locks) == 0
    assert rig.host._room.models() == []


async def test_a_replay_that_fails_gives_its_place_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is tried."""
    await rig.host.create("pump", tiny())
    await rig.host.submit_samples("pump", samples(tiny(), 2))
    await rig.host.create("other", tiny())
    hot = await table_of(rig).get("pump")
    await table_of(rig).abandon(hot)

    def broken(*_: object) -> None:
        raise RuntimeError("the test has broken the engine")

    with monkeypatch.context() as patch:
        patch.setattr(hot.model.engine, "step", broken)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="broken"):
                await table_of(rig).get("pump")
    assert len(hot.model.slab) == 1
    assert_same(await rig.arrays("pump"), Fold(tiny()).apply(*samples(tiny(), 2)).arrays)


async def test_a_deletion_that_the_store_refuses_leaves_the_stream(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read anew at its next touch, with all that it had."""
    await rig.host.create("pump", tiny())
    await rig.host.submit_samples("pump", samples(tiny(), 4))
    with monkeypatch.context() as patch:

        async def unavailable(_: object) -> None:
            raise StoreUnavailable("the test has cut it off", outcome_unknown=False)

        patch.setattr(rig.store, "delete", unavailable)
        with pytest.raises(Problem, match="does not answer"):
            await rig.host.delete("pump")
    await until(lambda: rig.host.readiness().ready)
    assert_same(await rig.arrays("pump"), Fold(tiny()).apply(*samples(tiny(), 4)).arrays)


async def test_a_new_stream_is_in_memory_without_being_read(open_host: OpenHost) -> None:
    """All that there is of it is known; where there is no room it waits in the store until it is touched."""
    rig = await open_host(room_for=2)
    for number, stream_id in enumerate(("pump", "valve", "meter")):
        assert await table_of(rig).create(stream_id, tiny())
        assert len(table_of(rig)) == min(number + 1, 2)
    assert rig.value("hydrations_total") == 0
    assert not await table_of(rig).create("pump", tiny())
    for stream_id in ("meter", "pump", "valve"):
        await rig.host.submit_samples(stream_id, samples(tiny(), 3))
        assert_same(await rig.arrays(stream_id), Fold(tiny()).apply(*samples(tiny(), 3)).arrays)


async def test_many_may_make_one_stream_at_once(rig: Rig) -> None:
    """One of them does, and all have it."""
    made = await asyncio.gather(*(rig.host.create("pump", tiny()) for _ in range(8)))

    assert sorted(created for _, created in made) == [False] * 7 + [True]
    assert len(table_of(rig)) == len(rig.host._room.models()[0].slab) == 1
