"""A Redis Cluster: the same store, with one script call a shard."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.store import Appended, Fenced, Mend, ShardsHeld, Snapshot, StreamStore, Tail
from service.store.binaries import find_server
from tests.conftest import LEASE_S
from tests.service.store.streams import append, append_of


@pytest.fixture
async def cluster_url(program: str | None, tmp_path: Path) -> AsyncIterator[str]:  # noqa: ARG001
    """A cluster of one node, which refuses a script over two slots like a large one."""
    port, bus = _free_ports()
    options = ["--port", str(port), "--cluster-enabled", "yes", "--cluster-port", str(bus), "--bind", "127.0.0.1"]
    command = [find_server().path, *options, "--save", ""]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    client = Redis(port=port)
    try:
        await _until_it_serves(client)
        yield f"redis://127.0.0.1:{port}"
    finally:
        await client.aclose()
        server.kill()
        server.wait()


async def test_a_micro_batch_over_many_slots_is_written_and_read(cluster_url: str, connect) -> None:
    """Streams of all shards go through append, snapshot, listing and delete as they do elsewhere."""
    store = await connect(cluster_url, num_shards=8)
    await store.acquire(range(8), lease_s=LEASE_S)
    ids = [f"sensor-{number}" for number in range(20)]
    for stream_id in ids:
        await store.create(stream_id, b"meta")
    batch = [await append_of(store, stream_id, 1, 3) for stream_id in [*ids, "nobody"]]
    missing = Appended("missing", tail=0)
    assert await store.append(batch) == [Appended("appended", tail=3)] * 20 + [missing]
    assert await store.append(batch) == [Appended("already", tail=3)] * 20 + [missing]
    snapshots = [Snapshot(append.stream_id, append.incarnation, 2, b"state") for append in batch]
    assert await store.write_snapshots(snapshots) == ["written"] * 20 + ["missing"]
    *found, nobody = await store.read_streams([*ids, "nobody"])
    assert [(stream.snapshot, len(stream.entries)) for stream in found] == [(each, 1) for each in snapshots[:-1]]
    assert nobody is None
    tails = await store.tails([*ids, "nobody"])
    assert tails == [*(Tail(each.incarnation, 3) for each in snapshots[:-1]), None]
    mends = [Mend(append.stream_id, append.incarnation, b"meta", 3, b"state", append.entries[-1]) for append in batch]
    assert await store.mend(mends) == ["fine"] * 20 + ["mended"]
    assert await store.delete("nobody")
    assert sorted((await store.list_ids(None, 100))[0]) == sorted(ids)
    assert await store.delete(ids[0])
    assert await store.count() == 19
    assert (await store.self_check()).durability == "memory"
    assert await store.run_id() == (await store.self_check()).run_id
    await store.ping()


async def test_owners_are_fenced_off_in_a_cluster_too(cluster_url: str, connect) -> None:
    """A shard that another process acquired takes no writes of the former owner."""
    former: StreamStore = await connect(cluster_url, num_shards=8)
    await former.acquire(range(8), lease_s=LEASE_S)
    await former.create("pump", b"")
    owner: StreamStore = await connect(cluster_url)
    await owner.acquire([owner.shard_of("pump")], lease_s=LEASE_S, by_force=True)
    with pytest.raises(Fenced):
        await append(former, "pump")
    with pytest.raises(Fenced):
        await former.renew()


async def test_of_a_cluster_all_shards_are_taken_or_none(cluster_url: str, connect) -> None:
    """What was taken before a shard that is held is given back, for a third one to take."""
    holder, late, third = [await connect(cluster_url, num_shards=8) for _ in range(3)]
    await holder.acquire([5], lease_s=LEASE_S)
    with pytest.raises(ShardsHeld):
        await late.acquire(range(8), lease_s=LEASE_S)
    assert len(await third.acquire([0, 1, 2, 3, 4, 6, 7], lease_s=LEASE_S)) == 7
    await holder.release()
    assert list(await late.acquire([5], lease_s=LEASE_S)) == [5]


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


async def _until_it_serves(client: Redis) -> None:
    """Give the node all slots, and wait until it has noticed."""
    deadline = time.monotonic() + 30
    asked = False
    while True:
        try:
            if not asked:
                await client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                asked = True
            await client.set("ready", 1)
            break
        except (RedisError, OSError):
            assert time.monotonic() < deadline, "the cluster did not come up"
            await asyncio.sleep(0.02)
