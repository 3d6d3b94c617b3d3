"""A stream that was deleted and made anew is another one: what was meant for the former does not reach it."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from service.store import Append, Appended, Mend, Snapshot, StreamStore, Tail, scripts
from tests.service.store.streams import append, append_of, entries, positions, snapshot

ALL_THAT_WRITE = (scripts.CREATE, scripts.APPEND, scripts.SNAPSHOT, scripts.MEND, scripts.DELETE)


@pytest.fixture
def sent(store: StreamStore, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Every command that the store has sent, word for word."""
    sent: list[tuple[Any, ...]] = []
    execute = store._connection._client.execute_command

    async def remember(*command: Any) -> Any:
        sent.append(command)
        return await execute(*command)

    monkeypatch.setattr(store._connection._client, "execute_command", remember)
    return sent


async def test_a_delayed_command_changes_nothing(
    store: StreamStore, raw: Redis, namespace: str, sent: list[tuple[Any, ...]]
) -> None:
    """Whatever was ever sent to a stream comes once more, under a token that is still valid: the new stream stays."""
    incarnation = await store.create("pump", b"former")
    await append(store, "pump", 1, 3)
    await snapshot(store, "pump", 3)
    await append(store, "pump", 4)
    last = entries(store, "pump", 4)[0]
    await store.mend([Mend("pump", str(incarnation), b"former", 9, b"state 9", None)])
    await store.mend([Mend("pump", str(incarnation), b"former", 4, b"state 4", last)])
    await store.delete("pump")
    former = list(sent)
    assert {script.sha for script in ALL_THAT_WRITE} <= {command[1] for command in former}

    await store.create("pump", b"new")
    await append(store, "pump", 1, 2)
    await snapshot(store, "pump", 1)
    before = await _dump(raw, namespace)
    for command in former:
        await raw.execute_command(*command)
    assert await _dump(raw, namespace) == before


async def test_a_former_stream_is_missing(store: StreamStore) -> None:
    """Appends and snapshots say so, and a mend says that there is another one."""
    former = str(await store.create("pump", b""))
    await append(store, "pump", 1, 3)
    await store.delete("pump")
    new = str(await store.create("pump", b""))
    assert new != former
    assert await store.append([Append("pump", former, 1, entries(store, "pump"))]) == [Appended("missing", tail=0)]
    assert await store.write_snapshots([Snapshot("pump", former, 0, b"state")]) == ["missing"]
    assert await store.mend([Mend("pump", former, b"", 3, b"state", None)]) == ["replaced"]
    assert await store.tails(["pump"]) == [Tail(new, 0)]


async def test_a_deletion_is_of_the_stream_that_was_there(store: StreamStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is made between its two steps stays."""
    await store.create("pump", b"former")
    tails = store.tails

    async def slowly(stream_ids: list[str]) -> list[Tail | None]:
        found = await tails(stream_ids)
        monkeypatch.undo()
        await store.delete("pump")
        await store.create("pump", b"new")
        return found

    monkeypatch.setattr(store, "tails", slowly)
    assert not await store.delete("pump")
    assert await positions(store, "pump") == (None, [])


async def test_a_damaged_snapshot_of_a_former_stream_is_forgotten(
    store: StreamStore, raw: Redis, namespace: str
) -> None:
    """The new stream's snapshots are replaced in their own order, though another owner has made it."""

    async def damage_the_newest() -> None:
        [key] = [key async for key in raw.scan_iter(f"{namespace}:*:snap:pump")]
        await raw.hset(key, await raw.hget(key, "newest"), b"damaged")

    await store.create("pump", b"")
    await append(store, "pump", 1, 9)
    for position in (2, 5):
        await snapshot(store, "pump", position)
    await damage_the_newest()
    assert await positions(store, "pump") == (2, [3, 4, 5, 6, 7, 8, 9])
    await raw.delete(*[key async for key in raw.scan_iter(f"{namespace}:*:pump")])
    await store.create("pump", b"")
    await append(store, "pump", 1, 9)
    for position in (2, 5, 7):
        await snapshot(store, "pump", position)
    await damage_the_newest()
    assert await positions(store, "pump") == (5, [6, 7, 8, 9])


async def test_a_new_stream_inherits_nothing(store: StreamStore, raw: Redis, namespace: str) -> None:
    """Even where a store came back with the log of a stream and without the stream."""
    await store.create("pump", b"")
    await store.append([await append_of(store, "pump", 1, 3)])
    await snapshot(store, "pump", 3)
    [meta] = [key async for key in raw.scan_iter(f"{namespace}:*:meta:pump")]
    await raw.delete(meta)
    await store.create("pump", b"")
    assert await positions(store, "pump") == (None, [])
    assert await append(store, "pump", 1) == Appended("appended", tail=1)


async def _dump(raw: Redis, namespace: str) -> dict[bytes, bytes]:
    """Every key of a namespace as it is."""
    return {key: await raw.dump(key) async for key in raw.scan_iter(f"{namespace}:*")}
