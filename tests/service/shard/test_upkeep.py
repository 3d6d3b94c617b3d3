"""What a host does in the background: idle snapshots, the fleet's metrics, and a watch on the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from service.shard import upkeep
from service.store import StoreCorrupt, StoreUnavailable

from .conftest import FaultyStore, OpenHost, Rig, samples, tiny, until


@pytest.fixture(autouse=True)
def _restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds that follow each other quickly."""
    monkeypatch.setattr(upkeep, "INTERVAL_S", 0.02)


async def test_idle_streams_get_their_snapshot(open_host: OpenHost) -> None:
    """Also those that somebody looks at all the time: a look is no use of a stream."""
    rig = await open_host(snapshot_idle_s=0.1)
    await rig.host.create("pump", tiny())
    await rig.host.submit_samples("pump", samples(tiny(), 3))
    async with asyncio.timeout(20):
        while rig.value("snapshots_total") == 0:
            await rig.host.describe("pump")
    snapshot = (await rig.stored("pump")).snapshot
    assert snapshot is not None
    assert snapshot.position == 3
    await until(lambda: rig.value("log_entries_since_snapshot_max") == 0)
    assert rig.value("snapshots_total") == 1


async def test_busy_streams_wait_for_theirs(open_host: OpenHost) -> None:
    """As long as records come, what is due decides."""
    rig = await open_host(snapshot_idle_s=60)
    await rig.host.create("pump", tiny())
    await rig.host.submit_samples("pump", samples(tiny(), 3))
    await until(lambda: rig.value("log_entries_since_snapshot_max") == 3)
    assert rig.value("snapshots_total") == 0


async def test_the_fleet_is_measured(open_host: OpenHost) -> None:
    """How many streams, how much memory, and how their errors compare with the naive ones."""
    rig = await open_host()
    for number in range(3):
        await rig.host.create(f"pump-{number}", tiny())
        await rig.host.submit_samples(f"pump-{number}", samples(tiny(), 8, phase=number))
    await rig.host.create("meter", tiny("wired"))
    await until(lambda: rig.value("streams_hot") == 4 and rig.value("streams") == 4)
    await until(lambda: rig.value("prequential_error_ratio", model="cfc", quantile="0.9") > 0)
    low, middle, high = (rig.value("prequential_error_ratio", model="cfc", quantile=q) for q in ("0.1", "0.5", "0.9"))
    assert 0 < low <= middle <= high
    assert rig.value("state_bytes") > 0
    (pump,) = (info for info in (await rig.host.list(None, 10)).streams if info.id == "pump-1")
    assert rig.value("stream_bytes", model="cfc") == pump.state_bytes
    await rig.host.delete("pump-0")
    await until(lambda: rig.value("streams_hot") == 3 and rig.value("streams") == 3)


async def test_a_store_that_goes_and_comes_is_seen(open_host: OpenHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a sample: readiness and `store_up` tell."""
    rig = await open_host(lease_s=0.3)
    await until(lambda: rig.value("store_up") == 1)
    with monkeypatch.context() as patch:

        async def unavailable() -> None:
            raise StoreUnavailable("the test has cut it off", outcome_unknown=False)

        patch.setattr(rig.store, "renew", unavailable)
        await until(lambda: rig.value("store_up") == 0)
        assert not rig.host.readiness().ready
    await until(lambda: rig.value("store_up") == 1)
    assert rig.host.readiness().ready


async def test_an_idle_host_sees_that_it_is_fenced(open_host: OpenHost) -> None:
    """From the lease that it may not prolong, or the snapshot that it may not write; and it forgets what it had."""
    older = await open_host(snapshot_idle_s=0.2)
    await older.host.create("pump", tiny())
    await older.host.submit_samples("pump", samples(tiny(), 3))
    newer = await open_host()
    await until(lambda: not older.host.readiness().ready)
    assert older.host.readiness().reasons[0].startswith("standby: ")
    assert (await newer.stored("pump")).snapshot is None
    await until(lambda: older.value("streams_hot") == 0)


async def test_a_start_brings_all_streams_into_memory(
    rig: Rig, open_host: OpenHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page; one that is damaged holds up no other."""
    monkeypatch.setattr(upkeep, "WARM_UP_PAGE", 2)
    for number in range(5):
        await rig.host.create(f"pump-{number}", tiny())
        await rig.host.submit_samples(f"pump-{number}", samples(tiny(), 2))
    second = await open_host()
    await until(lambda: second.value("hydrations_total") == 5)
    assert second.value("replay_entries_total") == 10

    third = await open_host_with_damage(open_host, monkeypatch, "pump-2")
    await until(lambda: third.value("hydrations_total") == 4)


async def open_host_with_damage(open_host: OpenHost, monkeypatch: pytest.MonkeyPatch, damaged: str) -> Rig:
    """A host whose store cannot read one stream's log."""
    read_streams = FaultyStore.read_streams

    async def damaged_log(self: FaultyStore, stream_ids: Sequence[str]) -> list[Any]:
        found = await read_streams(self, stream_ids)
        damage = StoreCorrupt("the test has damaged it")
        return [damage if id_ == damaged else stored for id_, stored in zip(stream_ids, found, strict=True)]

    monkeypatch.setattr(FaultyStore, "read_streams", damaged_log)
    return await open_host()
