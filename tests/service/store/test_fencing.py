"""Two owners never both write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from service.store import Fenced, Snapshot, StreamStore


@pytest.fixture
async def rival(store_url: str, namespace: str) -> AsyncIterator[StreamStore]:
    """A second process at the same store, which owns nothing yet."""
    rival = await StreamStore.connect(store_url, namespace=namespace, num_shards=8)
    yield rival
    await rival.close()


async def test_every_write_of_the_former_owner_fails(store: StreamStore, rival: StreamStore, make_append) -> None:
    """Once another one has acquired the shard, the former owner can write nothing at all."""
    await store.create("pump", b"")
    await store.append([make_append(store, "pump", 1, 2)])
    old = make_append(store, "pump", 3)
    await rival.acquire([rival.shard_of("pump")])
    for write in (
        lambda: store.append([old]),
        lambda: store.write_snapshots([Snapshot("pump", 2, b"state")]),
        lambda: store.delete("pump"),
        lambda: store.create("pump", b"again"),
    ):
        with pytest.raises(Fenced, match=f"shard {store.shard_of('pump')} belongs to another owner"):
            await write()
    assert len(await store.read_log("pump")) == 2
    assert await store.read_snapshot("pump") is None
    assert await rival.append([make_append(rival, "pump", 3)]) == ["appended"]


async def test_one_lost_shard_stops_the_whole_micro_batch(store: StreamStore, rival: StreamStore, make_append) -> None:
    """A call that names a lost shard writes to none of its streams."""
    ids = [f"sensor-{number}" for number in range(8)]
    for stream_id in ids:
        await store.create(stream_id, b"")
    lost = store.shard_of(ids[3])
    await rival.acquire([lost])
    with pytest.raises(Fenced) as raised:
        await store.append([make_append(store, stream_id) for stream_id in ids])
    assert raised.value.shard == lost
    assert await store.read_logs([(stream_id, 0) for stream_id in ids]) == [[]] * 8
    kept = [stream_id for stream_id in ids if store.shard_of(stream_id) != lost]
    assert set(await store.append([make_append(store, stream_id) for stream_id in kept])) == {"appended"}


async def test_nobody_writes_without_acquiring(rival: StreamStore) -> None:
    """A process that owns no shard finds out before anything is sent."""
    with pytest.raises(Fenced):
        await rival.create("pump", b"")
    with pytest.raises(Fenced):
        rival.epoch_of("pump")


async def test_epochs_only_grow(store: StreamStore, rival: StreamStore) -> None:
    """Each acquisition has an epoch above all before it, and a name of its own."""
    tokens = [(await owner.acquire([3]))[3] for owner in (store, rival, store)]
    assert tokens[0].epoch < tokens[1].epoch < tokens[2].epoch
    assert len({str(token) for token in tokens}) == 3


async def test_a_rewound_epoch_revives_nobody(
    store: StreamStore, rival: StreamStore, raw: Redis, namespace: str
) -> None:
    """A store that lost its last second counts an epoch twice; the owner's name in the token still tells them apart."""
    await store.acquire([3])
    await raw.decr(f"{namespace}:{{s003}}:epoch")
    assert (await rival.acquire([3]))[3].epoch == store.epoch_of(_stream_in(store, 3))
    with pytest.raises(Fenced):
        await store.create(_stream_in(store, 3), b"")


async def test_racing_owners_leave_one_history(store: StreamStore, rival: StreamStore, make_append) -> None:
    """Two processes that keep taking a shard from each other write one gapless log whose epochs never fall."""
    await store.create("pump", b"")
    shard = store.shard_of("pump")

    async def contend(owner: StreamStore) -> None:
        for _ in range(30):
            await owner.acquire([shard])
            position = len(await owner.read_log("pump"))
            try:
                await owner.append([make_append(owner, "pump", position + 1, 2)])
            except Fenced:
                continue

    await asyncio.gather(contend(store), contend(rival))
    entries = await store.read_log("pump")
    epochs = [entry.token_epoch for entry in entries]
    assert epochs == sorted(epochs)
    assert len(entries) >= 2


def _stream_in(store: StreamStore, shard: int) -> str:
    return next(name for name in map(str, range(1000)) if store.shard_of(name) == shard)
