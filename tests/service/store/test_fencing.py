"""Two owners never both write, nor does one read what the other has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from service.store import Append, Fenced, Mend, Snapshot, StreamStore
from tests.conftest import LEASE_S
from tests.service.store.streams import append, append_of, entries, incarnation_of, log_of, positions


@pytest.fixture
async def rival(store_url: str, namespace: str) -> AsyncIterator[StreamStore]:
    """A second process at the same store, which owns nothing yet."""
    rival = await StreamStore.connect(store_url, namespace=namespace, num_shards=8)
    yield rival
    await rival.close()


async def test_every_call_of_the_former_owner_fails(store: StreamStore, rival: StreamStore) -> None:
    """Once another one has acquired the shard, the former owner writes and reads nothing, and is told who has it."""
    await store.create("pump", b"")
    await append(store, "pump", 1, 2)
    old, incarnation = await append_of(store, "pump", 3), await incarnation_of(store, "pump")
    token = (await rival.acquire([rival.shard_of("pump")], lease_s=LEASE_S, by_force=True))[rival.shard_of("pump")]
    for call in (
        lambda: store.append([old]),
        lambda: store.write_snapshots([Snapshot("pump", incarnation, 2, b"state")]),
        lambda: store.mend([Mend("pump", incarnation, b"", 9, b"state", None)]),
        lambda: store.delete("pump"),
        lambda: store.create("pump", b"again"),
        lambda: store.read_streams(["pump"]),
        lambda: store.tails(["pump"]),
        store.renew,
    ):
        with pytest.raises(Fenced, match=f"shard {store.shard_of('pump')} belongs to another owner") as raised:
            await call()
        assert raised.value.owner == token.owner
    assert await positions(rival, "pump") == (None, [1, 2])
    assert (await append(rival, "pump", 3)).outcome == "appended"


async def test_one_lost_shard_stops_the_whole_micro_batch(store: StreamStore, rival: StreamStore) -> None:
    """A call that names a lost shard writes to none of its streams."""
    ids = [f"sensor-{number}" for number in range(8)]
    for stream_id in ids:
        await store.create(stream_id, b"")
    batch = [await append_of(store, stream_id) for stream_id in ids]
    lost = store.shard_of(ids[3])
    await rival.acquire([lost], lease_s=LEASE_S, by_force=True)
    with pytest.raises(Fenced) as raised:
        await store.append(batch)
    assert raised.value.shard == lost
    kept = [append for append in batch if store.shard_of(append.stream_id) != lost]
    assert {tail.position for tail in await store.tails([append.stream_id for append in kept])} == {0}
    assert {appended.outcome for appended in await store.append(kept)} == {"appended"}


async def test_nobody_writes_without_acquiring(rival: StreamStore) -> None:
    """A process that owns no shard finds out before anything is sent."""
    with pytest.raises(Fenced):
        await rival.create("pump", b"")
    with pytest.raises(Fenced):
        rival.epoch_of("pump")


async def test_epochs_only_grow(store: StreamStore, rival: StreamStore) -> None:
    """Each acquisition has an epoch above all before it, and no two owners have one name."""
    tokens = [(await owner.acquire([3], lease_s=LEASE_S, by_force=True))[3] for owner in (store, rival, store, store)]
    assert tokens[0].epoch < tokens[1].epoch < tokens[2].epoch < tokens[3].epoch
    assert tokens[0].owner == tokens[2].owner != tokens[1].owner


async def test_a_rewound_epoch_revives_nobody(
    store: StreamStore, rival: StreamStore, raw: Redis, namespace: str
) -> None:
    """A store that lost its last second counts an epoch twice; the owner's name in the token still tells them apart."""
    await store.acquire([3], lease_s=LEASE_S)
    await raw.decr(f"{namespace}:{{s003}}:epoch")
    taken = await rival.acquire([3], lease_s=LEASE_S, by_force=True)
    assert taken[3].epoch == store.epoch_of(_stream_in(store, 3))
    with pytest.raises(Fenced):
        await store.create(_stream_in(store, 3), b"")


async def test_racing_owners_leave_one_history(store: StreamStore, rival: StreamStore) -> None:
    """Two processes that keep taking a shard from each other write one gapless log whose epochs never fall."""
    incarnation = await store.create("pump", b"")
    assert incarnation
    shard = store.shard_of("pump")

    async def contend(owner: StreamStore) -> None:
        for _ in range(30):
            await owner.acquire([shard], lease_s=LEASE_S, by_force=True)
            try:
                position = len(await log_of(owner, "pump"))
                await owner.append([Append("pump", incarnation, position + 1, entries(owner, "pump", position + 1, 2))])
            except Fenced:
                continue

    await asyncio.gather(contend(store), contend(rival))
    await store.acquire([shard], lease_s=LEASE_S, by_force=True)
    found = await log_of(store, "pump")
    epochs = [entry.token_epoch for entry in found]
    assert epochs == sorted(epochs)
    assert len(found) >= 2


def _stream_in(store: StreamStore, shard: int) -> str:
    return next(name for name in map(str, range(1000)) if store.shard_of(name) == shard)
