"""Leases: who lives is not taken for dead, and who is dead is not waited for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from service.store import Fenced, ShardsHeld, StreamStore
from tests.conftest import LEASE_S

#: A server that acquires all shards and then waits to be killed.
_SERVER = """
import asyncio, sys
from service.store import StreamStore

async def main(url, namespace):
    store = await StreamStore.connect(url, namespace=namespace)
    await store.acquire(range(store.num_shards), lease_s=600)
    print("acquired", flush=True)
    await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def late(store_url: str, namespace: str) -> AsyncIterator[StreamStore]:
    """A server that comes when there is one already."""
    late = await StreamStore.connect(store_url, namespace=namespace, num_shards=8)
    yield late
    await late.close()


async def test_who_lives_is_not_taken_over(store: StreamStore, late: StreamStore) -> None:
    """The second server is refused, told by whom and for how long, and the first one goes on."""
    with pytest.raises(ShardsHeld, match="stop that server, wait until its lease has ended, or take over") as raised:
        await late.acquire(range(8), lease_s=LEASE_S)
    assert raised.value.owner == (await store.acquire([0], lease_s=LEASE_S))[0].owner
    assert 0 < raised.value.remaining_s <= LEASE_S
    assert await store.create("pump", b"")


async def test_all_shards_are_taken_or_none(store: StreamStore, late: StreamStore, raw: Redis, namespace: str) -> None:
    """One living lease among many that have ended: no shard changes hands."""
    for shard in range(7):
        await raw.pexpire(_lease(namespace, shard), 0)
    with pytest.raises(ShardsHeld):
        await late.acquire(range(8), lease_s=LEASE_S)
    await store.renew()
    assert await store.create("pump", b"")


async def test_a_lease_that_is_not_renewed_ends(late: StreamStore, store_url: str, namespace: str) -> None:
    """Then the next one who asks gets the shards, and the former owner is fenced."""
    former = await StreamStore.connect(store_url, namespace=namespace, num_shards=8)
    await former.acquire(range(8), lease_s=0.05)
    async with asyncio.timeout(30):
        while True:
            with suppress(ShardsHeld):
                await late.acquire(range(8), lease_s=LEASE_S)
                break
            await asyncio.sleep(0.01)
    with pytest.raises(Fenced):
        await former.renew()
    await former.close()


async def test_a_renewed_lease_begins_anew(store: StreamStore, raw: Redis, namespace: str) -> None:
    """Of every shard, and also where it had ended and nobody had come."""
    await raw.pexpire(_lease(namespace, 0), 1000)
    await raw.delete(_lease(namespace, 1))
    await store.renew()
    assert {await raw.pttl(_lease(namespace, shard)) > 1000 for shard in range(8)} == {True}


async def test_what_is_given_back_need_not_be_waited_for(store: StreamStore, late: StreamStore) -> None:
    """After `release` another one acquires at once; and the one who released writes nothing more."""
    await store.release()
    await late.acquire(range(8), lease_s=LEASE_S)
    with pytest.raises(Fenced):
        await store.create("pump", b"")
    await store.release()  # again, with nothing to give back
    await late.renew()


async def test_who_was_taken_over_gives_nothing_back(store: StreamStore, late: StreamStore, store_url: str) -> None:
    """A zombie that wakes up and shuts down properly does not end the lease of the one after it."""
    await late.acquire([3], lease_s=LEASE_S, by_force=True)
    await store.release()
    third = await StreamStore.connect(store_url, namespace=late._keys.namespace)
    with pytest.raises(ShardsHeld):
        await third.acquire([3], lease_s=LEASE_S)
    assert await third.acquire([4], lease_s=LEASE_S)
    await third.close()


async def test_by_force_is_at_once(store: StreamStore, late: StreamStore) -> None:
    """Who must not wait need not; the other one is fenced."""
    await late.acquire(range(8), lease_s=LEASE_S, by_force=True)
    with pytest.raises(Fenced):
        await store.renew()


async def test_who_holds_a_lease_may_acquire_again(store: StreamStore) -> None:
    """One's own lease is in nobody's way, not even after an answer that got lost."""
    before = store.epoch_of("pump")
    await store.acquire(range(8), lease_s=LEASE_S)
    assert store.epoch_of("pump") == before + 1


async def test_a_killed_server_of_this_machine_is_not_waited_for(
    late: StreamStore, store_url: str, namespace: str
) -> None:
    """Its lease would run for ten minutes more, but the kernel knows that it is gone; while it lives, it counts."""
    command = [sys.executable, "-c", _SERVER, store_url, namespace]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "acquired\n"
        with pytest.raises(ShardsHeld):
            await late.acquire(range(8), lease_s=LEASE_S)
        server.kill()
    assert len(await late.acquire(range(8), lease_s=LEASE_S)) == 8


def _lease(namespace: str, shard: int) -> str:
    return f"{namespace}:{{s{shard:03d}}}:lease"
