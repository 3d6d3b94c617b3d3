"""The store's own tests run against every kind of server that is there."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from service.store import EmbeddedStore, StreamStore
from service.store.binaries import ENVIRONMENT_VARIABLE
from tests.conftest import LEASE_S, running_server

#: Valkey comes with the package; Redis is tested beside it where the machine has it.
PROGRAMS = [None, *filter(None, [shutil.which("redis-server")])]

Connect = Callable[..., Awaitable[StreamStore]]


@pytest.fixture(scope="session", params=PROGRAMS, ids=lambda program: "redis" if program else "valkey")
def program(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The server program to run; `None` for the default."""
    chosen: str | None = request.param
    with pytest.MonkeyPatch.context() as patch:
        if chosen is not None:
            patch.setenv(ENVIRONMENT_VARIABLE, chosen)
        yield chosen


@pytest.fixture(scope="session")
def store_url(program: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """As for all tests, but of each kind of server."""
    with running_server(tmp_path_factory.mktemp("redis" if program else "valkey")) as url:
        yield url


@pytest.fixture
async def raw(store_url: str) -> AsyncIterator[Redis]:
    """The server without the store's rules, to damage things."""
    client = Redis.from_url(store_url)
    yield client
    await client.aclose()


@pytest.fixture
async def embedded(program: str | None, tmp_path: Path) -> AsyncIterator[EmbeddedStore]:  # noqa: ARG001
    """A server of the test's own, to be ill-treated; not started yet."""
    embedded = EmbeddedStore(tmp_path)
    yield embedded
    if embedded.pid is not None:
        os.kill(embedded.pid, signal.SIGCONT)  # a test may have stopped it, and a stopped server cannot end
    await embedded.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """`StreamStore.connect` whose connections are closed when the test ends, however it does."""
    stores: list[StreamStore] = []

    async def connect(url: str, **options: Any) -> StreamStore:
        stores.append(await StreamStore.connect(url, **options))
        return stores[-1]

    yield connect
    for store in stores:
        await store.close()


@pytest.fixture
def start_writing(connect: Connect) -> Connect:
    """A store with all shards acquired and the stream `pump` made."""

    async def start(url: str, **options: Any) -> StreamStore:
        store = await connect(url, **options)
        await store.acquire(range(store.num_shards), lease_s=LEASE_S)
        await store.create("pump", b"")
        return store

    return start
