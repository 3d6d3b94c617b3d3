"""A fail-over: the server that was the primary becomes a replica, and the address leads to another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.store import EmbeddedStore, StoreUnavailable, StreamStore
from tests.service.store.proxy import Proxy, proxy_to
from tests.service.store.streams import append_of, positions


@pytest.fixture
async def servers(program: str | None, tmp_path: Path) -> AsyncIterator[list[str]]:  # noqa: ARG001
    """URLs of the server before the fail-over, and of the one after it."""
    embedded = [EmbeddedStore(tmp_path / name) for name in ("before", "after")]
    yield [await each.start() for each in embedded]
    for each in embedded:
        await each.stop()


@pytest.fixture
async def proxy(servers: list[str]) -> AsyncIterator[Proxy]:
    """The address of the store."""
    async with proxy_to(servers[0]) as proxy:
        yield proxy


async def test_the_next_call_meets_the_new_primary(servers: list[str], proxy: Proxy, start_writing) -> None:
    """No connection to the old one is used again, of however many there were; nothing was written meanwhile."""
    store: StreamStore = await start_writing(proxy.url)
    batch = [await append_of(store, "pump", 1, 2)]
    await asyncio.gather(*(store.tails(["pump"]) for _ in range(16)))
    await _fail_over(*servers)
    proxy.target = servers[1]
    with pytest.raises(StoreUnavailable, match="wait for the fail-over to end") as raised:
        await store.append(batch)
    assert not raised.value.outcome_unknown
    outcomes = await asyncio.gather(*(store.append(batch) for _ in range(32)))
    assert sorted(appended.outcome for [appended] in outcomes) == ["already"] * 31 + ["appended"]
    assert await positions(store, "pump") == (None, [1, 2])


@pytest.mark.parametrize("call", ["read_streams", "tails"])
async def test_a_replica_is_not_read(servers: list[str], proxy: Proxy, start_writing, call: str) -> None:
    """What the old primary has may be behind, though it knows our token: no stream is served from it."""
    store: StreamStore = await start_writing(proxy.url)
    await _fail_over(*servers)
    with pytest.raises(StoreUnavailable, match="wait for the fail-over to end"):
        await getattr(store, call)(["pump"])
    proxy.target = servers[1]
    [found] = await getattr(store, call)(["pump"])
    assert found is not None


async def test_a_late_answer_is_not_taken_for_another_one(store_url: str, namespace: str, start_writing) -> None:
    """After a timeout the connection is closed: what comes on it then is nobody's answer."""
    async with proxy_to(store_url) as proxy:
        store: StreamStore = await start_writing(proxy.url, namespace=namespace, timeout_s=0.3)
        [pump] = await store.tails(["pump"])
        proxy.delivers_answers.clear()
        with pytest.raises(StoreUnavailable):
            await store.tails(["nobody"])
        proxy.delivers_answers.set()
        assert [await store.tails(["pump"]) for _ in range(3)] == [[pump]] * 3


async def _fail_over(before: str, after: str) -> None:
    """The new primary has all that the old one had; the old one is a replica, of nobody who answers."""
    async with Redis.from_url(before) as old, Redis.from_url(after) as new:
        async for key in old.scan_iter("*"):
            await new.restore(key, max(0, await old.pttl(key)), await old.dump(key))
        await old.replicaof("127.0.0.1", 1)
