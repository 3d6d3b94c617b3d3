"""The store's own tests run against every kind of server that is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from tests.conftest import running_server

from liquid_core.engine.records import Sample
from service.store import Append, EmbeddedStore, StreamStore, encode_entry
from service.store.binaries import ENVIRONMENT_VARIABLE

#: Valkey comes with the package; Redis is tested beside it where the machine has it.
PROGRAMS = [None, *filter(None, [shutil.which("redis-server")])]

MakeAppend = Callable[..., Append]


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
    with running_server(tmp_path_factory.mktemp("store")) as url:
        yield url


@pytest.fixture
async def raw(store_url: str) -> AsyncIterator[Redis]:
    """The server without the store's rules, to damage things."""
    client = Redis.from_url(store_url)
    yield client
    await client.aclose()


@pytest.fixture
async def embedded(program: str | None, tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    """A server of the test's own, to be ill-treated; not started yet."""
    embedded = EmbeddedStore(tmp_path)
    yield embedded
    if embedded.pid is not None:
        os.kill(embedded.pid, 18)  # SIGCONT: a test may have stopped it, and a stopped server cannot end
    await embedded.stop()


@pytest.fixture
def make_append() -> MakeAppend:
    """Appends whose records are what their position says."""

    def make(store: StreamStore, stream_id: str, first: int = 1, count: int = 1) -> Append:
        epoch = store.epoch_of(stream_id)
        records = [Sample(seq=seq, t=float(seq), x=(seq / 2,)) for seq in range(first, first + count)]
        return Append(stream_id, first, [encode_entry(record, record.seq, epoch) for record in records])

    return make
