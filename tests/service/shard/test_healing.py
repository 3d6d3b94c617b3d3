"""A store that comes back with less than it had acknowledged: this process has it all, and gives it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from service.messages import SampleIn
from service.problems import Problem
from service.shard.streams import HotStream
from service.store import Append, Appended, StoreUnavailable, Superseded

from .conftest import Fold, OpenHost, Rig, assert_same, labels, refusals, samples, tiny, until

TASKS = ("forecast", "regression")


class Server:
    """The server behind a namespace, to be tampered with."""

    def __init__(self, client: Redis, namespace: str) -> None:
        self.client, self._namespace = client, namespace

    async def keys(self, pattern: str = "*") -> list[bytes]:
        return [key async for key in self.client.scan_iter(f"{self._namespace}:{pattern}", count=1000)]

    async def empty(self) -> None:
        """As a server without a file comes back."""
        if keys := await self.keys():
            await self.client.delete(*keys)

    async def remember(self) -> dict[bytes, bytes]:
        """All but the leases, which run out meanwhile."""
        return {key: await self.client.dump(key) for key in await self.keys() if not key.endswith(b":lease")}

    async def go_back(self, then: dict[bytes, bytes]) -> None:
        """As a server comes back that lost its last second, or a replica that did not have it yet."""
        async with self.client.pipeline(transaction=True) as all_at_once:
            all_at_once.delete(*await self.keys())
            for key, value in then.items():
                all_at_once.restore(key, 0, value)
            await all_at_once.execute()


@pytest.fixture
async def server(store_url: str, namespace: str) -> AsyncIterator[Server]:
    client = Redis.from_url(store_url)
    yield Server(client, namespace)
    await client.aclose()


async def feed(rig: Rig, task: str, count: int, first: int = 1) -> Sequence[Any]:
    """Send as a client does, until all are taken; their results."""
    return await persist(rig, task, samples(tiny(task), count, first=first))


async def persist(rig: Rig, task: str, items: Sequence[SampleIn]) -> Sequence[Any]:
    async with asyncio.timeout(30):
        while True:
            try:
                return await rig.host.submit_samples(task, items)
            except Problem as problem:
                if problem.status != 503:
                    raise
                await asyncio.sleep(0.05)


async def create(rig: Rig, *tasks: str) -> None:
    for task in tasks:
        await rig.host.create(task, tiny(task))


async def assert_is_the_fold(rig: Rig, task: str, count: int) -> None:
    assert_same(await rig.arrays(task), Fold(tiny(task)).apply(*samples(tiny(task), count)).arrays)


@pytest.mark.parametrize("every", [2, 1000], ids=["with snapshots", "without"])
async def test_a_store_that_was_emptied_gets_everything_again(server: Server, open_host: OpenHost, every: int) -> None:
    """Streams, states and the order of records; the next host finds what this one acknowledged."""
    rig = await open_host(snapshot_every=every)
    await create(rig, *TASKS, "classification")
    for task in TASKS:
        await feed(rig, task, 5)
    await server.empty()
    for task in TASKS:
        assert [result.seq for result in await feed(rig, task, 3, first=6)] == [6, 7, 8]
    assert rig.value("store_rewound_total") == 1
    assert rig.value("store_mended_streams_total") == 3
    assert rig.value("store_mended_records_total") == 10
    assert rig.host.readiness().ready
    second = await open_host()
    for host in (rig, second):
        if host is second:
            assert {info.id for info in (await second.host.list(None, 10)).streams} == {*TASKS, "classification"}
            for task in TASKS:
                await assert_is_the_fold(second, task, 8)


async def test_an_emptied_store_is_noticed_without_a_sample(server: Server, open_host: OpenHost) -> None:
    rig = await open_host(lease_s=0.6)
    await create(rig, "forecast")
    await feed(rig, "forecast", 5)
    await server.empty()
    await until(lambda: rig.value("store_mended_streams_total") == 1)
    await until(lambda: rig.host.readiness().ready)
    await assert_is_the_fold(await open_host(), "forecast", 5)


async def test_a_store_that_lost_its_last_second_gets_it_again(server: Server, open_host: OpenHost) -> None:
    """The records of three streams, one of which it does not know any more at all."""
    rig = await open_host(snapshot_every=1000)
    await create(rig, *TASKS)
    for task in TASKS:
        await feed(rig, task, 3)
    then = await server.remember()
    await create(rig, "classification")
    for task in (*TASKS, "classification"):
        await feed(rig, task, 4, first=4 if task in TASKS else 1)
    await server.go_back(then)
    for task in (*TASKS, "classification"):
        await feed(rig, task, 2, first=8 if task in TASKS else 5)
    assert rig.value("store_mended_records_total") == 12
    second = await open_host()
    for task in TASKS:
        await assert_is_the_fold(second, task, 9)
    await assert_is_the_fold(second, "classification", 6)


async def test_a_store_that_lost_our_taking_over_is_taken_again(server: Server, open_host: OpenHost) -> None:
    """A fail-over to a replica that still names the owner before us: it is dead, and we are not fenced by it."""
    first = await open_host()
    await create(first, "forecast")
    await feed(first, "forecast", 3)
    then = await server.remember()
    second = await open_host()
    await feed(second, "forecast", 3, first=4)
    await server.go_back(then)
    await feed(second, "forecast", 3, first=7)
    assert second.value("store_rewound_total") == 1
    await assert_is_the_fold(second, "forecast", 9)
    with pytest.raises(Problem, match="another server"):
        await first.host.submit_samples("forecast", samples(tiny(), 1, first=4))


async def test_a_server_that_started_anew_is_compared_with_memory(
    server: Server, open_host: OpenHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a sample: a stream that nobody feeds any more is mended as well."""
    rig = await open_host(lease_s=0.6)
    await create(rig, "forecast")
    await feed(rig, "forecast", 3)
    then = await server.remember()
    await feed(rig, "forecast", 3, first=4)
    await server.go_back(then)

    async def another() -> str:
        return "another run"

    monkeypatch.setattr(rig.store, "run_id", another)
    await until(lambda: rig.value("store_mended_records_total") == 3)
    await assert_is_the_fold(await open_host(), "forecast", 6)


async def test_what_was_not_acknowledged_is_forgotten_by_both(rig: Rig) -> None:
    """An append that never came through is taken back: another record may take its number."""
    await create(rig, "forecast")
    await feed(rig, "forecast", 3)
    rig.store.faults.extend(["never sent"] * 3)
    with pytest.raises(Problem):
        await rig.host.submit_samples("forecast", samples(tiny(), 2, first=4, phase=1.0))
    await feed(rig, "forecast", 2, first=4)
    await assert_is_the_fold(rig, "forecast", 5)
    assert rig.value("hydrations_total") == 0, "memory is kept"


async def test_a_call_from_before_the_trouble_comes_to_nothing_after_it(rig: Rig) -> None:
    """The token that it carries has been replaced: whatever it wanted, it cannot be undone by it any more."""
    await create(rig, "forecast")
    await feed(rig, "forecast", 3)
    [shard], then = [rig.store.shard_of("forecast")], rig.store._ownership.token(rig.store.shard_of("forecast"))
    rig.store.faults.extend(["never sent"] * 3)
    with pytest.raises(Problem):
        await rig.host.submit_samples("forecast", samples(tiny(), 2, first=4))
    await until(lambda: rig.host.readiness().ready)
    now = rig.store._ownership.token(shard)
    assert (now.epoch, now.owner) == (then.epoch + 1, then.owner)
    rig.store._ownership._tokens[shard] = then
    with pytest.raises(Superseded):
        await rig.store.delete("forecast")
    with pytest.raises(Superseded):
        await rig.store.append([Append("forecast", (await alive(rig)).incarnation, 4, [b"-" * 48])])
    rig.store._ownership._tokens[shard] = now
    await feed(rig, "forecast", 2, first=4)
    await assert_is_the_fold(rig, "forecast", 5)


async def alive(rig: Rig) -> HotStream:
    return await rig.host._table.get("forecast")


async def held_up(rig: Rig, items: Sequence[SampleIn]) -> list[Append]:
    """Send samples whose append gets stuck on its way until it is given up; the append."""
    kept: list[Append] = []

    async def hold(batch: Sequence[Append]) -> list[Appended]:
        kept[:] = batch
        raise StoreUnavailable("the test holds it up", outcome_unknown=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rig.store, "append", hold)
        with pytest.raises(Problem):
            await rig.host.submit_samples("forecast", items)
    return kept


async def test_an_append_that_arrives_after_it_was_given_up(rig: Rig) -> None:
    """The client's repetition is the same record at the same place, and is applied once; another one is refused."""
    await create(rig, "forecast")
    await feed(rig, "forecast", 3)
    kept = await held_up(rig, samples(tiny(), 2, first=4))
    await until(lambda: rig.host.readiness().ready)
    await rig.store.append(kept)
    with pytest.raises(Problem, match="read anew"):
        await rig.host.submit_samples("forecast", samples(tiny(), 2, first=4, phase=1.0))
    assert refusals(await rig.host.submit_samples("forecast", samples(tiny(), 1, first=4, phase=1.0))) == [
        "seq_conflict"
    ]
    assert [result.duplicate for result in await feed(rig, "forecast", 2, first=4)] == [True, True]
    await assert_is_the_fold(rig, "forecast", 5)
    assert rig.value("hydrations_total") == 0, "memory has caught up with the log, and was never given up"


async def test_an_append_that_arrives_between_two_others_changes_nothing(rig: Rig) -> None:
    """Once another record has its position."""
    await create(rig, "forecast")
    await feed(rig, "forecast", 3)
    kept = await held_up(rig, samples(tiny(), 1, first=4, phase=1.0))
    await feed(rig, "forecast", 2, first=4)
    assert [appended.outcome for appended in await rig.store.append(kept)] == ["mismatch"]
    await feed(rig, "forecast", 2, first=6)
    await assert_is_the_fold(rig, "forecast", 7)


async def test_labels_and_samples_that_were_lost_come_back_together(server: Server, open_host: OpenHost) -> None:
    rig = await open_host(snapshot_every=1000)
    spec = tiny("regression")
    await rig.host.create("late", spec)
    sent = samples(spec, 8)
    fold = Fold(spec)
    await persist(rig, "late", sent[:2])
    fold.apply(*sent[:2])
    then = await server.remember()
    await persist(rig, "late", sent[2:4])
    late = labels(spec, [2, 4])
    assert refusals(await rig.host.submit_labels("late", late)) == [None, None]
    fold.apply(*sent[2:4], *late)
    await server.go_back(then)
    await persist(rig, "late", sent[4:])
    fold.apply(*sent[4:])
    assert_same(await (await open_host()).arrays("late"), fold.arrays)
