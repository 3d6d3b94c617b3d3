"""The start-up check: what the store promises, and what it is refused for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from service.store import EmbeddedStore, StoreRefused, StoreUnavailable, StreamStore


@pytest.fixture
async def admin(embedded: EmbeddedStore) -> AsyncIterator[Redis]:
    """A server of the test's own, to be configured."""
    client = Redis.from_url(await embedded.start())
    yield client
    await client.aclose()


@pytest.mark.parametrize(
    ("settings", "durability", "warning"),
    [
        ({"appendfsync": "everysec"}, "everysec", "loses up to two seconds"),
        ({"appendfsync": "no"}, "memory", "half a minute"),
        ({"appendonly": "no"}, "memory", "Set `appendonly yes`"),
        ({"appendonly": "no", "appendfsync": "everysec"}, "memory", "no append-only file"),
    ],
)
async def test_a_weaker_promise_is_reported(
    admin: Redis, connect, settings: dict[str, str], durability: str, warning: str
) -> None:
    """Each setting that can lose acknowledged samples has its level, and a sentence about what to do."""
    for name, value in settings.items():
        await admin.config_set(name, value)
    store = await connect(_url(admin))
    health = await store.self_check()
    assert health.durability == durability
    assert any(warning in sentence for sentence in health.warnings)


async def test_the_server_is_named(store: StreamStore, program: str | None) -> None:
    """Kind and version are the server's own."""
    health = await store.self_check()
    assert health.server == ("redis" if program else "valkey")
    assert health.version.count(".") == 2
    assert len(health.run_id) == 40


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_store_that_evicts_is_refused(admin: Redis, connect, policy: str) -> None:
    """It would delete streams when memory gets short."""
    await admin.config_set("maxmemory-policy", policy)
    store = await connect(_url(admin))
    with pytest.raises(StoreRefused, match=f"{policy}.*set `maxmemory-policy noeviction`"):
        await store.self_check()


async def test_a_replica_is_refused(admin: Redis, connect) -> None:
    """Writes to it would fail, and what it holds may be old."""
    store = await connect(_url(admin))
    await admin.replicaof("127.0.0.1", 1)
    with pytest.raises(StoreRefused, match="point the URL at its primary"):
        await store.self_check()
    with pytest.raises(StoreUnavailable, match="wait for the fail-over") as raised:
        await store.acquire([0], lease_s=1)
    assert not raised.value.outcome_unknown


async def test_a_store_that_keeps_its_settings_to_itself_is_unknown(admin: Redis, connect) -> None:
    """Without the right to CONFIG, as on hosted stores, the level is unknown, and that is a warning."""
    await admin.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-config")
    store = await connect(f"{_url(admin)}?username=app&password=secret")
    health = await store.self_check()
    assert health.durability == "unknown"
    assert "CONFIG is not allowed" in health.warnings[0]


async def test_memory_that_gets_short_is_warned_of(admin: Redis, connect) -> None:
    """Before writes are refused."""
    store = await connect(_url(admin))
    used = (await admin.info("memory"))["used_memory"]
    await admin.config_set("maxmemory", int(used * 1.1))
    assert any("raise it before writes are refused" in sentence for sentence in (await store.self_check()).warnings)


def _url(admin: Redis) -> str:
    return "unix://" + admin.connection_pool.connection_kwargs["path"]
