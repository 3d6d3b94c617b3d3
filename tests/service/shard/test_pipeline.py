"""The way of a sample when something breaks on it: exactly once, in order, and everybody gets an answer."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from liquid_core.spec import ModelSpec
from service.messages import SampleIn
from service.problems import Problem
from service.shard import pipeline
from service.store import EmbeddedStore, StoreFull

from .conftest import Fold, OpenHost, Rig, assert_same, labels, refusals, samples, tiny, until

TASKS = ("forecast", "regression")


async def send_until_taken(rig: Rig, stream_id: str, items: Sequence[SampleIn]) -> list[Any]:
    """As a client does: what was not acknowledged is sent again, unchanged."""
    async with asyncio.timeout(60):
        while True:
            try:
                return [*await rig.host.submit_samples(stream_id, items)]
            except Problem as problem:
                if problem.status != 503:
                    raise
                await asyncio.sleep(problem.retry_after_s or 0.05)


async def create(rig: Rig, *tasks: str) -> dict[str, ModelSpec]:
    specs = {task: tiny(task) for task in tasks}
    for task, spec in specs.items():
        await rig.host.create(task, spec)
    return specs


# --- appends whose outcome is not known ------------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [["lost answer"], ["never sent"], ["never sent", "lost answer"]])
async def test_an_append_is_tried_again(rig: Rig, faults: list[str]) -> None:
    """The client notices nothing, and the log has each record once."""
    specs = await create(rig, *TASKS)
    rig.store.faults.extend(faults)
    for task, spec in specs.items():
        assert refusals(await rig.host.submit_samples(task, samples(spec, 6))) == [None] * 6
        assert await rig.positions(task) == [*range(1, 7)]
        assert_same(await rig.arrays(task), Fold(spec).apply(*samples(spec, 6)).arrays)


@pytest.mark.parametrize("fault", ["lost answer", "never sent"])
async def test_an_unknown_outcome_is_settled_by_the_log(rig: Rig, fault: str) -> None:
    """Nothing is acknowledged; the client's repetition finds the records applied, or has them applied: once."""
    specs = await create(rig, *TASKS)
    for task, spec in specs.items():
        await rig.host.submit_samples(task, samples(spec, 3))
        rig.store.faults.extend([fault] * (1 + len(pipeline.APPEND_RETRY_PAUSES_S)))
        with pytest.raises(Problem, match="nothing was acknowledged") as refused:
            await rig.host.submit_samples(task, samples(spec, 4, first=4))
        assert refused.value.code == "store_unavailable"
        again = await send_until_taken(rig, task, samples(spec, 4, first=4))
        fold = Fold(spec).apply(*samples(spec, 7))
        assert [result.duplicate for result in again] == [fault == "lost answer"] * 4
        assert [result.predictions for result in again] == [*fold.answers.values()][3:]
        assert_same(await rig.arrays(task), fold.arrays)
        assert await rig.positions(task) == [*range(1, 8)]


async def test_faults_in_between_leave_no_trace(rig: Rig) -> None:
    """Whatever the faults and however requests fall into micro-batches, each stream is the fold of its records."""
    specs = await create(rig, *TASKS, "classification")
    rig.store.faults.extend(["fine", "lost answer", "never sent", "lost answer", "fine", "lost answer"] * 4)

    async def feed(task: str, spec: ModelSpec) -> None:
        sent = samples(spec, 15)
        for start in range(0, 15, 3):
            await send_until_taken(rig, task, sent[start : start + 3])

    await asyncio.gather(*(feed(task, spec) for task, spec in specs.items()))
    for task, spec in specs.items():
        assert_same(await rig.arrays(task), Fold(spec).apply(*samples(spec, 15)).arrays)


async def test_a_full_store_takes_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The problem says so, and the stream is where it was."""
    specs = await create(rig, "forecast")
    with monkeypatch.context() as patch:

        async def full(_: object) -> None:
            raise StoreFull("the test has filled it")

        patch.setattr(rig.store, "append", full)
        with pytest.raises(Problem, match="no room") as refused:
            await rig.host.submit_samples("forecast", samples(tiny(), 2))
    assert refused.value.code == "store_full"
    assert rig.value("log_append_failures_total", reason="store_full") == 1
    assert not rig.host.readiness().ready
    assert refusals(await rig.host.submit_samples("forecast", samples(specs["forecast"], 2))) == [None] * 2
    assert rig.host.readiness().ready


async def test_a_log_that_is_short_is_mended(rig: Rig, store_url: str) -> None:
    """Somebody restored the log, say: the request is to be sent again, other streams' go on, and nothing is lost."""
    specs = await create(rig, *TASKS)
    for task, spec in specs.items():
        await rig.host.submit_samples(task, samples(spec, 3))
    rig.store.open.clear()
    sending = {
        task: asyncio.create_task(rig.host.submit_samples(task, samples(spec, 2, first=4)))
        for task, spec in specs.items()
    }
    await rig.store.waiting.wait()
    # As if the last record had never been written.
    async with Redis.from_url(store_url) as raw:
        await raw.rpop(rig.store._layout.keys.log("forecast"))
    rig.store.open.set()
    with pytest.raises(Problem, match="read anew") as refused:
        await sending["forecast"]
    assert refused.value.code == "store_unavailable"
    assert refusals(await sending["regression"]) == [None] * 2
    assert (await rig.host.describe("forecast")).last_seq == 3
    assert refusals(await rig.host.submit_samples("forecast", samples(tiny(), 2, first=4))) == [None] * 2
    assert_same(await rig.arrays("forecast"), Fold(tiny()).apply(*samples(tiny(), 5)).arrays)


async def test_a_bug_answers_everybody_and_loses_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that raises is a 500 for its requests, also those that wait behind it; the records are in the log."""
    await create(rig, "forecast")
    rig.store.open.clear()
    first = asyncio.create_task(rig.host.submit_samples("forecast", samples(tiny(), 2)))
    await rig.store.waiting.wait()
    behind = asyncio.create_task(rig.host.submit_samples("forecast", samples(tiny(), 1, first=3)))
    await asyncio.sleep(0)

    def broken(*_: object) -> None:
        raise RuntimeError("the test has broken the engine")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_step_group", broken)
        rig.store.open.set()
        for each in (first, behind):
            with pytest.raises(Problem, match="the server failed") as refused:
                await each
            assert refused.value.code == "internal"
    again = await rig.host.submit_samples("forecast", samples(tiny(), 3))
    assert [result.duplicate for result in again] == [True, True, False]
    assert_same(await rig.arrays("forecast"), Fold(tiny()).apply(*samples(tiny(), 3)).arrays)


async def test_a_pipeline_that_fails_is_not_ready(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should even a bug's handling fail: who waits is answered, later ones are refused, and readiness tells."""
    await create(rig, "forecast")
    rig.store.open.clear()
    first = asyncio.create_task(rig.host.submit_samples("forecast", samples(tiny(), 1)))
    await rig.store.waiting.wait()
    behind = asyncio.create_task(rig.host.submit_samples("forecast", samples(tiny(), 1, first=2)))
    await asyncio.sleep(0)

    def broken(*_: object) -> None:
        raise RuntimeError("the test has broken it")

    monkeypatch.setattr(pipeline, "_step_group", broken)
    monkeypatch.setattr(rig.host._table, "abandon", broken)
    rig.store.open.set()
    for each in (first, behind, rig.host.submit_samples("forecast", samples(tiny(), 1, first=3))):
        with pytest.raises(Problem):
            await each
    assert rig.host.readiness().reasons == ["pipeline: it has failed, as the log tells; restart the server"]


# --- owners ----------------------------------------------------------------------------------------------------------


async def test_the_older_of_two_hosts_is_fenced(rig: Rig, open_host: OpenHost) -> None:
    """It answers `fenced`, stands by, and writes nothing more, not even snapshots; the newer one goes on."""
    specs = await create(rig, *TASKS)
    for task, spec in specs.items():
        await rig.host.submit_samples(task, samples(spec, 4))
    newer = await open_host()
    with pytest.raises(Problem, match="another server owns the streams") as refused:
        await rig.host.submit_samples("forecast", samples(tiny(), 1, first=5))
    assert (refused.value.code, refused.value.status) == ("fenced", 503)
    for call in (
        rig.host.submit_samples("regression", samples(tiny("regression"), 1, first=5)),
        rig.host.describe("regression"),
        rig.host.create("another", tiny()),
        rig.host.delete("forecast"),
    ):
        with pytest.raises(Problem, match="another server"):
            await call
    assert rig.host.readiness().reasons[0].startswith("standby: ")
    assert rig.value("fenced_writes_total") == 1
    await rig.host.drain()
    for task, spec in specs.items():
        assert (await newer.stored(task)).snapshot is None
        await newer.host.submit_samples(task, samples(spec, 3, first=5))
        assert_same(await newer.arrays(task), Fold(spec).apply(*samples(spec, 7)).arrays)


async def test_a_record_in_flight_belongs_to_one_owner(rig: Rig, open_host: OpenHost) -> None:
    """A take-over while an append is on its way: the older host's is refused, the newer's is the one in the log."""
    await create(rig, "forecast")
    rig.store.open.clear()
    older = asyncio.create_task(rig.host.submit_samples("forecast", samples(tiny(), 2)))
    await rig.store.waiting.wait()
    newer = await open_host()
    assert refusals(await newer.host.submit_samples("forecast", samples(tiny(), 2))) == [None] * 2
    rig.store.open.set()
    with pytest.raises(Problem, match="another server"):
        await older
    assert await newer.positions("forecast") == [1, 2]


# --- a store that goes away ------------------------------------------------------------------------------------------


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    """A store of the test's own, to be ill-treated."""
    embedded = EmbeddedStore(tmp_path)
    yield embedded
    if embedded.pid is not None:
        os.kill(embedded.pid, signal.SIGCONT)
    await embedded.stop()


async def test_a_store_that_hangs_is_waited_for_only_so_long(embedded: EmbeddedStore, open_host: OpenHost) -> None:
    """Everybody gets a 503; once it goes on, each record is applied once, whether or not its append came through."""
    rig = await open_host(await embedded.start(), timeout_s=0.2)
    specs = await create(rig, *TASKS)
    for task, spec in specs.items():
        await rig.host.submit_samples(task, samples(spec, 3))
    assert embedded.pid is not None
    os.kill(embedded.pid, signal.SIGSTOP)
    sending = [rig.host.submit_samples(task, samples(spec, 3, first=4)) for task, spec in specs.items()]
    for problem in await asyncio.gather(*sending, return_exceptions=True):
        assert isinstance(problem, Problem)
        assert problem.code == "store_unavailable"
    assert not rig.host.readiness().ready
    assert rig.value("store_up") == 0
    os.kill(embedded.pid, signal.SIGCONT)
    for task, spec in specs.items():
        await send_until_taken(rig, task, samples(spec, 3, first=4))
        assert_same(await rig.arrays(task), Fold(spec).apply(*samples(spec, 6)).arrays)
    await until(lambda: rig.host.readiness().ready)
    await rig.close()


async def test_a_store_that_is_killed_has_lost_nothing(embedded: EmbeddedStore, open_host: OpenHost) -> None:
    """Samples flow while it is killed and comes back: all that was acknowledged is there, once, in order."""
    rig = await open_host(await embedded.start(), timeout_s=1.0, snapshot_every=4)
    specs = await create(rig, *TASKS)

    async def feed(task: str, spec: ModelSpec) -> None:
        fold = Fold(spec)
        for seq in range(1, 31):
            (one,) = samples(spec, 1, first=seq)
            (result,) = await send_until_taken(rig, task, [one])
            assert result.predictions == fold.apply(one).answers[seq]

    feeding = asyncio.gather(*(feed(task, spec) for task, spec in specs.items()))
    for seen in (6, 16):
        await until(lambda seen=seen: rig.value("log_append_entries_total") >= seen)
        pid = embedded.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda pid=pid: embedded.pid not in (None, pid))
    await feeding
    for task, spec in specs.items():
        assert_same(await rig.arrays(task), Fold(spec).apply(*samples(spec, 30)).arrays)
    await rig.close()


# --- what is counted -------------------------------------------------------------------------------------------------


async def test_the_counters_move(rig: Rig) -> None:
    """Samples and labels by result, updates, appends and stages: each record once."""
    spec = tiny("regression")
    await rig.host.create("pump", spec)
    sent = samples(spec, 8)
    await rig.host.submit_samples("pump", sent)
    await rig.host.submit_samples("pump", [sent[3], SampleIn(seq=99, t=2e9, x=[1.0])])
    await rig.host.submit_labels("pump", labels(spec, [8, 6]))
    value = rig.value
    assert [value("samples_total", model="cfc", result=each) for each in ("applied", "duplicate", "rejected")] == [
        8,
        1,
        1,
    ]
    assert value("samples_rejected_total", reason="seq_gap") == 1
    assert value("labels_total", result="applied") == 2
    assert value("log_append_entries_total") == 10
    info = await rig.host.describe("pump")
    assert info.updates == value("updates_total", model="cfc", result="ok") > 0
    assert info.labels == 6
    assert 0 < value("prequential_error_count", model="cfc") <= 6
    for stage in ("queue", "append", "step", "total"):
        assert value("step_duration_seconds_count", model="cfc", stage=stage) == 12
    assert value("batch_size_sum", model="cfc") == 10
    assert value("hydrations_total") == 0


async def test_drift_is_counted_and_told(rig: Rig) -> None:
    """In the answer of the sample that set it off, in the stream's description, and in a metric."""
    drift = {"kind": "page_hinkley", "min_samples": 10, "threshold": 3.0}
    spec = tiny(features=["flow"], horizon=1, learner={"window": 3, "drift": drift})
    await rig.host.create("pump", spec)
    calm = [SampleIn(seq=seq, t=60.0 * seq, x=[float(seq % 2)]) for seq in range(1, 31)]
    wild = [SampleIn(seq=seq, t=60.0 * seq, x=[(-1.0) ** (seq // 2) * 9.0 * seq]) for seq in range(31, 41)]
    results = await rig.host.submit_samples("pump", [*calm, *wild])
    alarms = [result.seq for result in results if result.drift == "page_hinkley"]
    assert alarms
    assert alarms[0] > 30
    info = await rig.host.describe("pump")
    assert (info.drift.events, info.drift.last_seq) == (len(alarms), alarms[-1])
    assert rig.value("drift_events_total", model="cfc", detector="page_hinkley") == len(alarms)


async def test_too_much_is_refused_and_counted(open_host: OpenHost) -> None:
    """A queue that is full takes no more until it is shorter; the client is told when to come back."""
    rig = await open_host(max_pending=4)
    await rig.host.create("pump", tiny())
    rig.store.open.clear()
    taken = asyncio.create_task(rig.host.submit_samples("pump", samples(tiny(), 1)))
    await rig.store.waiting.wait()
    waiting = asyncio.create_task(rig.host.submit_samples("pump", samples(tiny(), 4, first=2)))
    await asyncio.sleep(0)
    with pytest.raises(Problem, match="too many") as refused:
        await rig.host.submit_samples("pump", samples(tiny(), 3, first=6))
    assert refused.value.code == "overloaded"
    assert refused.value.retry_after_s is not None
    assert rig.value("queue_rejected_total", reason="overloaded") == 3
    assert rig.value("samples_rejected_total", reason="overloaded") == 3
    rig.store.open.set()
    assert refusals([*await taken, *await waiting]) == [None] * 5


async def test_a_refused_request_counts_as_rejected(rig: Rig) -> None:
    """As many samples as got no answer of their own."""
    await create(rig, "forecast")
    rig.store.faults.extend(["never sent"] * 3)
    with pytest.raises(Problem, match="nothing was acknowledged"):
        await rig.host.submit_samples("forecast", samples(tiny(), 2))
    assert rig.value("samples_rejected_total", reason="store_unavailable") == 2
    assert rig.value("samples_total", model="cfc", result="rejected") == 2
    assert rig.value("log_append_failures_total", reason="store_unavailable") == 1
