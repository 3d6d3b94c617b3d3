"""One owner at a time, and a second host that stands by."""

from __future__ import annotations

import asyncio

import pytest

from service.problems import Problem
from service.store import StoreUnavailable

from .conftest import Fold, OpenHost, Rig, assert_same, refusals, samples, tiny, until


async def test_a_second_host_stands_by_until_the_first_has_stopped(open_host: OpenHost) -> None:
    """It says for whom it waits, serves nothing, and goes on where the first one stopped, at once."""
    first = await open_host(take_over=False, lease_s=600)
    await first.host.create("pump", tiny())
    await first.host.submit_samples("pump", samples(tiny(), 3))
    second = await open_host(take_over=False, lease_s=0.6)
    assert not second.host.readiness().ready
    assert second.host.readiness().reasons[0].startswith("standby: ")
    for call in (second.host.submit_samples("pump", samples(tiny(), 1, first=4)), second.host.describe("pump")):
        with pytest.raises(Problem, match="another server") as refused:
            await call
        assert (refused.value.code, refused.value.status) == ("fenced", 503)
    assert first.host.readiness().ready
    await first.host.drain()
    await until(lambda: second.host.readiness().ready)
    assert refusals(await second.host.submit_samples("pump", samples(tiny(), 2, first=4))) == [None] * 2
    assert second.value("replay_entries_total") == 0
    assert_same(await second.arrays("pump"), Fold(tiny()).apply(*samples(tiny(), 5)).arrays)


async def test_a_silent_owner_is_replaced_when_its_lease_ends(open_host: OpenHost) -> None:
    """And finds out with its first read, though it has written nothing since."""
    first = await open_host(take_over=False, lease_s=0.6)
    await first.host.create("pump", tiny())
    await first.host.submit_samples("pump", samples(tiny(), 3))
    (keeper,) = (task for task in first.host._tasks if task.get_name() == "keeper")
    keeper.cancel()  # as if the process had been stopped: nothing prolongs its lease
    second = await open_host(take_over=False, lease_s=0.6)
    await until(lambda: second.host.readiness().ready)
    with pytest.raises(Problem, match="another server"):
        await first.host.describe("pump")
    assert first.host.readiness().reasons[0].startswith("standby: ")
    assert (await second.host.describe("pump")).last_seq == 3


async def test_a_host_that_was_replaced_stands_by_in_its_turn(open_host: OpenHost) -> None:
    """It forgets what it had in memory, and when it is needed again reads what the other one left."""
    first = await open_host(lease_s=0.6)
    await first.host.create("pump", tiny())
    await first.host.submit_samples("pump", samples(tiny(), 3))
    second = await open_host(lease_s=0.6)
    await second.host.submit_samples("pump", samples(tiny(), 3, first=4))
    await until(lambda: not first.host.readiness().ready)
    await until(lambda: len(first.host._table) == 0)
    await second.host.drain()
    await until(lambda: first.host.readiness().ready)
    assert (await first.host.describe("pump")).last_seq == 6
    await first.host.submit_samples("pump", samples(tiny(), 2, first=7))
    assert_same(await first.arrays("pump"), Fold(tiny()).apply(*samples(tiny(), 8)).arrays)


async def test_reads_without_a_store_are_called_stale(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in memory is served, and said to be that; nothing is taken, and it is over when the store is back."""
    await rig.host.create("pump", tiny())
    await rig.host.submit_samples("pump", samples(tiny(), 3))
    assert not (await rig.host.describe("pump")).stale

    async def gone(*_: object) -> None:
        raise StoreUnavailable("the test has cut it off", outcome_unknown=False)

    with monkeypatch.context() as patch:
        for call in ("append", "renew", "run_id", "tails", "read_streams"):
            patch.setattr(rig.store, call, gone)
        with pytest.raises(Problem, match="does not answer"):
            await rig.host.submit_samples("pump", samples(tiny(), 1, first=4))
        described = await rig.host.describe("pump")
        assert (described.stale, described.last_seq) == (True, 3)
        assert not rig.host.readiness().ready
        with pytest.raises(Problem) as refused:
            await rig.host.describe("another")
        assert refused.value.code == "store_unavailable"
        started = asyncio.get_running_loop().time()
        for _ in range(50):
            with pytest.raises(Problem):
                await rig.host.submit_samples("pump", samples(tiny(), 1, first=4))
        assert asyncio.get_running_loop().time() - started < 5, "nobody waits for a store that is known to be gone"
    await until(lambda: rig.host.readiness().ready)
    assert not (await rig.host.describe("pump")).stale
    await rig.host.submit_samples("pump", samples(tiny(), 1, first=4))
    assert_same(await rig.arrays("pump"), Fold(tiny()).apply(*samples(tiny(), 4)).arrays)
