"""What a fault of the store looks like from outside, and that it loses and doubles nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from service.store import (
    Append,
    Appended,
    EmbeddedStore,
    Snapshot,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    StreamStore,
)
from service.store.connection import store_errors
from tests.service.store.proxy import proxy_to
from tests.service.store.streams import append, append_of, entries, incarnation_of, log_of, positions, snapshot


async def test_nobody_there_is_known_to_have_written_nothing(tmp_path: Path) -> None:
    """Where no connection could be made, the outcome is not in doubt."""
    with pytest.raises(StoreUnavailable, match="check that it runs") as raised:
        await StreamStore.connect(f"unix://{tmp_path}/nobody")
    assert not raised.value.outcome_unknown


async def test_a_server_that_dies_is_known_to_have_written_nothing_after(
    embedded: EmbeddedStore, start_writing
) -> None:
    """The next write after the death fails to connect, and may be sent again without a thought."""
    store = await start_writing(await embedded.start())
    first = await append_of(store, "pump")
    await embedded.stop()
    with pytest.raises(StoreUnavailable) as raised:
        await store.append([first])
    assert not raised.value.outcome_unknown


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", ""])
async def test_another_kind_of_url_is_refused(url: str) -> None:
    """The message shows the three kinds that there are."""
    with pytest.raises(StoreRefused, match=r"unix:///path, redis://host:port/db or rediss://"):
        await StreamStore.connect(url)


def test_a_connection_that_was_reset_is_a_store_that_does_not_answer(embedded: EmbeddedStore) -> None:
    """On the server's own event loop as well, which has another word for it than all others."""

    async def reset_and_write() -> None:
        url = await embedded.start()
        _, writer = await asyncio.open_unix_connection(url.removeprefix("unix://"))
        writer.transport.abort()
        await asyncio.sleep(0.05)
        with pytest.raises(StoreUnavailable), store_errors(writes=True):
            writer.writelines([b"PING"])
        await embedded.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(reset_and_write())


def test_other_errors_are_not_taken_for_the_stores() -> None:
    with pytest.raises(RuntimeError, match="a bug"), store_errors(writes=True):
        raise RuntimeError("a bug")


async def test_a_wrong_password_is_refused(store_url: str) -> None:
    """It is not taken for a store that is down."""
    with pytest.raises(StoreRefused, match="check user, password and rights"):
        await StreamStore.connect(f"{store_url}?username=nobody&password=wrong")


async def test_a_server_that_hangs_leaves_the_outcome_unknown(embedded: EmbeddedStore, start_writing) -> None:
    """A write that is not answered in time says so; the same write later settles it, exactly once."""
    store = await start_writing(await embedded.start(), timeout_s=0.3)
    batch = [await append_of(store, "pump", 1, 3)]
    assert embedded.pid is not None
    os.kill(embedded.pid, signal.SIGSTOP)
    with pytest.raises(StoreUnavailable) as raised:
        await store.append(batch)
    assert raised.value.outcome_unknown
    for look in (store.read_streams, store.tails):
        with pytest.raises(StoreUnavailable) as raised:
            await look(["pump"])
        assert not raised.value.outcome_unknown
    os.kill(embedded.pid, signal.SIGCONT)
    [appended] = await store.append(batch)
    assert appended.outcome in ("appended", "already")
    assert await positions(store, "pump") == (None, [1, 2, 3])


async def test_a_lost_answer_doubles_nothing(store_url: str, namespace: str, start_writing) -> None:
    """The write was carried out and its answer got lost: nothing is sent twice unasked, and a repetition finds it."""
    async with proxy_to(store_url) as proxy:
        store = await start_writing(proxy.url, namespace=namespace, timeout_s=0.5)
        await append(store, "pump", 1, 2)  # the server knows the script from now on
        batch = [await append_of(store, "pump", 3, 2)]
        proxy.loses_answers.set()
        with pytest.raises(StoreUnavailable) as raised:
            await store.append(batch)
        assert raised.value.outcome_unknown
        proxy.loses_answers.clear()
        assert await store.append(batch) == [Appended("already", tail=4)]
        assert len(await log_of(store, "pump")) == 4


async def test_a_killed_server_has_lost_nothing_acknowledged(embedded: EmbeddedStore, start_writing) -> None:
    """Three SIGKILLs in the middle of appends: every acknowledged record is there afterwards, in order, once."""
    store = await start_writing(await embedded.start())
    incarnation = await incarnation_of(store, "pump")
    position = 0
    for round_ in range(3):
        goal = position + 40
        while position < goal:
            if position == goal - 20:
                assert embedded.pid is not None
                os.kill(embedded.pid, signal.SIGKILL)
            two = entries(store, "pump", position + 1, 2)
            await _append_until_it_is_known(store, Append("pump", incarnation, position + 1, two))
            position += 2
        assert embedded.restarts == round_ + 1
    found = await log_of(store, "pump")
    assert [entry.record.seq for entry in found] == [entry.position for entry in found] == [*range(1, 121)]


async def test_a_full_store_takes_nothing_by_halves(small: StreamStore) -> None:
    """At `maxmemory` a micro-batch is in all its logs or in none, and reads go on."""
    ids = [f"sensor-{number}" for number in range(32)]
    for stream_id in ids:
        await small.create(stream_id, b"")
    incarnations = {stream_id: await incarnation_of(small, stream_id) for stream_id in ids}
    written = 0

    async def fill() -> None:
        nonlocal written
        while True:
            await small.append(
                [
                    Append(stream_id, incarnation, written + 1, entries(small, stream_id, written + 1, 100))
                    for stream_id, incarnation in incarnations.items()
                ]
            )
            written += 100

    with pytest.raises(StoreFull, match="raise its `maxmemory` or delete streams"):
        await fill()
    assert {tail.position for tail in await small.tails(ids)} == {written}
    assert len(await log_of(small, ids[0])) == written


async def test_a_full_store_works_again_once_there_is_room(small: StreamStore) -> None:
    """A snapshot that has no room leaves the one before, and the next write that has room goes through."""
    await append(small, "pump", 1, 2)
    await snapshot(small, "pump", 1)
    with pytest.raises(StoreFull):
        await small.write_snapshots([Snapshot("pump", await incarnation_of(small, "pump"), 2, bytes(8 * 2**20))])
    assert await positions(small, "pump") == (1, [2])
    await _append_until_it_is_known(small, await append_of(small, "pump", 3))


@pytest.fixture
async def small(program: str | None, tmp_path: Path, start_writing) -> AsyncIterator[StreamStore]:  # noqa: ARG001
    """A store with room for eight megabytes."""
    embedded = EmbeddedStore(tmp_path, max_memory_bytes=8 * 2**20)
    yield await start_writing(await embedded.start())
    await embedded.stop()


async def _append_until_it_is_known(store: StreamStore, append: Append) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            [appended] = await store.append([append])
            assert appended.outcome in ("appended", "already")
            return
        except (StoreUnavailable, StoreFull):
            assert time.monotonic() < deadline, "the store did not recover"
            await asyncio.sleep(0.01)
