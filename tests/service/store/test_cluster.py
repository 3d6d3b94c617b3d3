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

from service.store import Fenced, Snapshot, StreamStore
from service.store.binaries import find_server


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


async def test_a_micro_batch_over_many_slots_is_written_and_read(cluster_url: str, connect, make_append) -> None:
    """Streams of all shards go through append, snapshot, listing and delete as they do elsewhere."""
    store = await connect(cluster_url, num_shards=8)
    await store.acquire(range(8))
    ids = [f"sensor-{number}" for number in range(20)]
    for stream_id in ids:
        await store.create(stream_id, b"meta")
    batch = [make_append(store, stream_id, 1, 3) for stream_id in ids]
    assert set(await store.append(batch)) == {"appended"}
    assert await store.append([*batch, make_append(store, "nobody")]) == ["already"] * 20 + ["missing"]
    await store.write_snapshots([Snapshot(stream_id, 2, b"state") for stream_id in ids])
    assert await store.read_snapshots(ids) == [Snapshot(stream_id, 2, b"state") for stream_id in ids]
    assert [len(log) for log in await store.read_logs([(stream_id, 2) for stream_id in ids])] == [1] * 20
    assert sorted((await store.list_ids(None, 100))[0]) == sorted(ids)
    assert await store.delete(ids[0])
    assert await store.count() == 19
    assert (await store.self_check()).durability == "memory"
    await store.ping()


async def test_owners_are_fenced_off_in_a_cluster_too(cluster_url: str, connect, make_append) -> None:
    """A shard that another process acquired takes no writes of the former owner."""
    former: StreamStore = await connect(cluster_url, num_shards=8)
    await former.acquire(range(8))
    await former.create("pump", b"")
    owner: StreamStore = await connect(cluster_url)
    await owner.acquire([owner.shard_of("pump")])
    with pytest.raises(Fenced):
        await former.append([make_append(former, "pump")])


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
