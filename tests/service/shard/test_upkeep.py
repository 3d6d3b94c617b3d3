"""What a host does in the background: idle snapshots, the fleet's metrics, and a watch on the store."""

from __future__ import annotations

import asyncio

import pytest

from service.shard import upkeep
from service.shard.snapshots import SHORT_REPLAY
from service.store import StoreUnavailable

from .conftest import OpenHost, samples, tiny, until


@pytest.fixture(autouse=True)
def _restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds that follow each other quickly."""
    monkeypatch.setattr(upkeep, "INTERVAL_S", 0.02)


async def test_idle_streams_get_their_snapshot(open_host: OpenHost) -> None:
    """Also those that somebody looks at all the time: a look is no use of a stream."""
    rig = await open_host(snapshot_idle_s=0.1)
    await rig.host.create("pump", tiny())
    await rig.host.submit_samples("pump", samples(tiny(), SHORT_REPLAY + 1))
    async with asyncio.timeout(20):
        while rig.value("snapshots_total") == 0:
            await rig.host.describe("pump")
    snapshot = (await rig.stored("pump")).snapshot
    assert snapshot is not None
    assert snapshot.position == SHORT_REPLAY + 1
    await until(lambda: rig.value("log_entries_since_snapshot_max") == 0)
    assert rig.value("snapshots_total") == 1


async def test_a_short_replay_is_worth_no_snapshot(open_host: OpenHost) -> None:
    """A stream of which a few records come now and then is not written whole each time."""
    rig = await open_host(snapshot_idle_s=0.05)
    await rig.host.create("pump", tiny())
    await rig.host.create("busier", tiny())
    await rig.host.submit_samples("pump", samples(tiny(), SHORT_REPLAY))
    await rig.host.submit_samples("busier", samples(tiny(), SHORT_REPLAY + 1))
    await until(lambda: rig.value("snapshots_total") == 1)
    await until(lambda: rig.value("log_entries_since_snapshot_max") == SHORT_REPLAY)
    assert (await rig.stored("pump")).snapshot is None


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
    pump = await rig.host.describe("pump-1")
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
    await older.host.submit_samples("pump", samples(tiny(), SHORT_REPLAY + 1))
    newer = await open_host()
    await until(lambda: not older.host.readiness().ready)
    assert older.host.readiness().reasons[0].startswith("standby: ")
    assert (await newer.stored("pump")).snapshot is None
    await until(lambda: older.value("streams_hot") == 0)
