"""The shard host: streams that can be created, fed, asked and removed. What the edge talks to.

It owns the shards of its store from `start` to `drain`. Where another host has them, it stands by until that one has
stopped, or has been silent for longer than its lease; a host that finds itself replaced forgets what it has in memory
and stands by in its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, cast

import msgspec
import structlog
from numpy.typing import NDArray

from liquid_core.engine.admission import check_values
from liquid_core.engine.records import Sample
from liquid_core.engine.results import StepResults
from liquid_core.errors import RecordError
from liquid_core.spec import ModelSpec
from service.messages import (
    LabelIn,
    LabelResult,
    PredictIn,
    PredictResult,
    ProblemItem,
    Readiness,
    SampleIn,
    SampleResult,
    StreamHistory,
    StreamInfo,
    StreamPage,
)
from service.metrics import Metrics
from service.problems import Problem
from service.settings import Settings
from service.shard import answers, intake
from service.shard.batcher import Batcher, Item, Outcome, Submission
from service.shard.engine_choice import EngineChoice, threads_of
from service.shard.eviction import Eviction
from service.shard.healing import Healer
from service.shard.history import HistoryBook
from service.shard.hydration import MAX_TOGETHER, Hydration
from service.shard.keeper import Keeper
from service.shard.listing import Listing
from service.shard.loading import Loader
from service.shard.models import EngineRoom
from service.shard.ownership import Ownership, fenced
from service.shard.pipeline import Pipeline
from service.shard.snapshots import Snapshotter
from service.shard.store_gate import StoreGate
from service.shard.streams import HotStream, StreamForgotten, StreamTable
from service.shard.upkeep import Upkeep
from service.shard.verbs import StreamVerbs
from service.shard.warm_up import WarmUp
from service.store import BadCursor, Durability, Fenced, StoreError, StoreFull, StreamStore

log = structlog.get_logger(__name__)

Seen = TypeVar("Seen")


class StreamHost:
    """All streams of one store, served by this process.

    Parameters
    ----------
    store
        Connected; the host takes all its shards, as soon as no other host has them.
    engine
        What the setting `engine` comes to on this machine.
    executor
        Where the engine works, one piece at a time; a thread of its own where nothing else is given.
    """

    def __init__(
        self,
        settings: Settings,
        store: StreamStore,
        metrics: Metrics,
        engine: EngineChoice,
        *,
        executor: Executor | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._metrics = metrics
        self._engine = engine
        self._threads = threads_of(settings.engine_threads)
        self._room = EngineRoom(engine.kind, threads=self._threads, memory=settings.streams_bytes, executor=executor)
        self._hydration = Hydration(Loader(store, self._room), metrics, lambda needed: self._eviction.make_room(needed))
        self._table = StreamTable(store, self._room, self._hydration)
        attention = asyncio.Event()
        self._ownership = Ownership(store, metrics, attention, lease_s=settings.lease_s)
        self._gate = StoreGate(metrics, attention)
        self._batcher = Batcher(
            max_batch_size=settings.max_batch_size,
            max_pending=settings.max_pending,
            max_pending_per_stream=settings.max_pending_per_stream,
            max_queue_delay_ms=settings.max_queue_delay_ms,
            max_replay=settings.snapshot_every,
        )
        self._snapshotter = Snapshotter(store, self._room, metrics, every=settings.snapshot_every)
        self._eviction = Eviction(self._table, self._snapshotter, metrics)
        self._listing = Listing(store, self._room, self._table, self._info)
        self._healer = Healer(store, self._room, self._table, self._snapshotter, metrics)
        self._history = HistoryBook()
        self.verbs = StreamVerbs(self, store, self._room)
        self._durability: Durability = "unknown"
        self._store_name = "unknown"
        self._pipeline: Pipeline | None = None
        self._attention = attention
        self._tasks: list[asyncio.Task[None]] = []
        self._warming: asyncio.Task[None] | None = None
        self._draining = False

    # --- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the shards and begin to work, or stand by for them."""
        self._metrics.set_engine(self._engine.name, self._engine.isa)
        health = await self._store.self_check()
        self._durability = health.durability
        self._store_name = f"{health.server} {health.version}"
        self._metrics.store_up.set(1)
        self._pipeline = Pipeline(
            store=self._store,
            room=self._room,
            table=self._table,
            batcher=self._batcher,
            ownership=self._ownership,
            gate=self._gate,
            healer=self._healer,
            snapshotter=self._snapshotter,
            history=self._history,
            metrics=self._metrics,
            durability=self._durability,
        )
        self._upkeep = Upkeep(
            store=self._store,
            room=self._room,
            table=self._table,
            snapshotter=self._snapshotter,
            ownership=self._ownership,
            gate=self._gate,
            metrics=self._metrics,
            idle_s=self._settings.snapshot_idle_s,
        )
        keeper = Keeper(
            store=self._store,
            ownership=self._ownership,
            gate=self._gate,
            healer=self._healer,
            table=self._table,
            metrics=self._metrics,
            working=self._pipeline.working,
            attention=self._attention,
            on_taken=self._begin_to_serve,
            on_lost=self._forget_everything,
        )
        await keeper.take(by_force=self._settings.take_over)
        self._tasks = [
            asyncio.create_task(self._pipeline.run(), name="pipeline"),
            asyncio.create_task(keeper.run(), name="keeper"),
            asyncio.create_task(self._upkeep.run(), name="upkeep"),
        ]

    async def _begin_to_serve(self) -> None:
        warm_up = WarmUp(self._store, self._room, self._table)
        self._warming = asyncio.create_task(warm_up.run(), name="warm-up")

    async def _forget_everything(self) -> None:
        """What is in memory will be older than what the new owner has."""
        if self._warming is not None:
            await _end([self._warming])
        for stream in self._table.hot():
            self._batcher.forget(stream.id, fenced())
        await self._table.abandon_all()
        self._history.clear()

    async def drain(self) -> None:
        """Answer what was taken, write every stream's snapshot, and stop."""
        self._draining = True
        self._batcher.close()
        if self._tasks:
            await asyncio.wait(self._tasks[:1], timeout=self._settings.shutdown_timeout_s)
        await _end([*self._tasks, *filter(None, [self._warming])])
        await self._hydration.close()
        if self._ownership.held:
            await self._hand_over()
        await self._room.close()

    async def _hand_over(self) -> None:
        """Leave as little to do as can be to whoever comes next."""
        try:
            await self._snapshotter.write(self._table.hot())
            await self._ownership.release()
        except (Problem, StoreError) as error:
            # The log has everything: the next start only replays more, and waits for the lease to end.
            log.warning("last_snapshots_failed", error=str(error))

    def readiness(self) -> Readiness:
        """Whether samples are taken, and why not."""
        reasons = []
        if self._pipeline is None:
            reasons.append("starting")
        elif not self._ownership.held and not self._draining:
            reasons.append(f"standby: {self._ownership.other or 'another server'} owns the streams")
        if not self._gate.is_open:
            reasons.append(f"store: {self._gate.reason}")
        elif self._gate.is_full:
            reasons.append("store: it has no room left")
        failed = self._batcher.closed and not self._draining
        if self._draining:
            reasons.append("draining")
        elif failed:
            reasons.append("pipeline: it has failed, as the log tells; restart the server")
        return Readiness(
            ready=not reasons,
            store=self._store_name,
            durability=self._durability,
            engine=str(self._engine),
            engine_fallback=self._engine.fallback,
            failed=failed,
            reasons=reasons,
        )

    # --- streams -----------------------------------------------------------------------------------------------------

    async def create(self, stream_id: str, spec: ModelSpec) -> tuple[StreamInfo, bool]:
        """Make a stream, or confirm the one that is there; True: newly made."""
        created = False
        self._check_ownership()
        if self._table.peek(stream_id) is None:
            with self.store_problems():
                created = await self._table.create(stream_id, spec)
        stream = await self._get(stream_id)
        if stream.spec.digest != spec.digest:
            raise Problem("spec_conflict", "the stream exists with another spec; delete it first, or take another id.")
        if created:
            self._metrics.streams.inc()
        return await self.describe(stream_id), created

    async def describe(self, stream_id: str) -> StreamInfo:
        stale = await self._is_stale()
        _, info = await self.read(stream_id, self._info)
        return msgspec.structs.replace(info, stale=stale)

    async def delete(self, stream_id: str) -> None:
        """Remove a stream, its log and its snapshots for good."""
        gone = Problem("stream_not_found", "no stream has this id.")
        self._check_ownership()
        async with self._table.claim(stream_id), self._working_pipeline().working, self._snapshotter.writing:
            try:
                with self.store_problems():
                    removed = await self._table.delete(stream_id)
            except Problem as problem:
                self._batcher.forget(stream_id, problem)
                raise
            self._batcher.forget(stream_id, gone)
            self._history.forget(stream_id)
        if not removed:
            raise gone
        self._metrics.streams.dec()

    async def list(self, cursor: str | None, limit: int) -> StreamPage:
        """One page of descriptions, in full of the streams in memory."""
        self._check_ownership()
        with self.store_problems():
            ids, after = await self._store.list_ids(cursor, limit)
            return StreamPage(streams=await self._listing.entries(ids), next_cursor=after)

    async def _is_stale(self) -> bool:
        """Whether somebody else may have more by now than is in memory; `Problem` ``fenced`` where somebody has."""
        self._check_ownership()
        if not self._gate.is_open:
            return True
        try:
            await self._ownership.confirm()
        except Fenced:
            raise fenced() from None
        except StoreError as error:
            self._gate.failed(error)
            return True
        return False

    def _check_ownership(self) -> None:
        if self._draining and not self._ownership.held:
            raise _stopping()
        self._ownership.check()

    async def _get(self, stream_id: str) -> HotStream:
        self._check_ownership()
        if self._table.peek(stream_id) is None:
            self._gate.check()
        with self.store_problems():
            return await self._table.get(stream_id)

    @contextmanager
    def store_problems(self) -> Iterator[None]:
        """Turns the store's errors into problems."""
        try:
            yield
        except BadCursor as error:
            raise Problem("invalid", str(error)) from None
        except Fenced as error:
            self._ownership.lose_to(error)
            raise fenced() from error
        except StoreFull as error:
            raise self._gate.full() from error
        except StoreError as error:
            raise self._gate.failed(error) from error

    async def read(self, stream_id: str, look: Callable[[HotStream], Seen]) -> tuple[HotStream, Seen]:
        """What `look` sees in a stream, in the engine's thread; again, where the stream was forgotten meanwhile."""
        while True:
            stream = await self._get(stream_id)
            try:
                return stream, await self._room.run(partial(look, stream))
            except StreamForgotten:
                continue

    def _info(self, stream: HotStream) -> StreamInfo:
        arrays = stream.arrays()
        last_seq = int(arrays["stream.seq"])
        return StreamInfo(
            id=stream.id,
            spec=stream.spec,
            created_at=stream.meta.created_at,
            last_seq=last_seq,
            last_t=float(arrays["stream.last_t"]) if last_seq else None,
            samples=int(arrays["stream.samples"]),
            labels=int(arrays["stream.labels"]),
            frozen=bool(arrays["stream.frozen"]),
            updates=int(arrays["stream.updates"]),
            updates_skipped=int(arrays["stream.skipped"]),
            drift=answers.drift(arrays),
            errors=answers.errors(stream.spec, arrays),
            parameters=stream.model.engine.num_params,
            state_bytes=stream.model.engine.bytes_per_stream,
            engine=stream.model.engine.name,
            durability=self._durability,
        )

    # --- samples and labels ------------------------------------------------------------------------------------------

    async def submit_samples(
        self, stream_id: str, samples: Sequence[SampleIn], *, deadline: float | None = None
    ) -> Sequence[SampleResult | ProblemItem]:
        """Predict, then learn; one answer a sample, in order."""
        return cast(Sequence[SampleResult | ProblemItem], await self.submit(stream_id, samples, deadline))

    async def submit_labels(
        self, stream_id: str, labels: Sequence[LabelIn], *, deadline: float | None = None
    ) -> Sequence[LabelResult | ProblemItem]:
        """Learn from labels of earlier samples; one answer a label, in order."""
        return cast(Sequence[LabelResult | ProblemItem], await self.submit(stream_id, labels, deadline))

    async def submit(self, stream_id: str, items: Sequence[Item], deadline: float | None = None) -> Sequence[Outcome]:
        """Queue items of one request behind what waits for the stream; one outcome an item, in order."""
        if not items:
            return []
        self._working_pipeline()
        self._check_ownership()  # first: who is sent to the owner need not wait here for the store
        self._gate.check()
        stream = await self._get(stream_id)
        done: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
        submission = Submission(stream=stream, items=tuple(items), done=done, deadline=deadline)
        try:
            self._batcher.offer(submission)
        except Problem as problem:
            self._metrics.queue_rejected.labels(reason=problem.code).inc(len(items))
            self._count_refused(submission, problem)
            raise
        done.add_done_callback(partial(self._count_failure, submission))
        # The records are taken: they are stepped even if the client goes away before its answer is ready.
        return await asyncio.shield(done)

    def _count_failure(self, submission: Submission, done: asyncio.Future[Sequence[Outcome]]) -> None:
        problem = None if done.cancelled() else done.exception()
        if isinstance(problem, Problem):
            self._count_refused(submission, problem)

    def _count_refused(self, submission: Submission, problem: Problem) -> None:
        """Count the items that a refusal of the whole request left without an outcome of their own."""
        metrics = self._metrics
        for item in submission.items[len(submission.outcomes) :]:
            if isinstance(item, LabelIn):
                metrics.labels.labels(result="rejected").inc()
            elif isinstance(item, SampleIn):
                metrics.samples.labels(model=submission.stream.model.name, result="rejected").inc()
                metrics.samples_rejected.labels(reason=problem.code).inc()

    def _working_pipeline(self) -> Pipeline:
        if self._pipeline is None or self._batcher.closed:
            raise _stopping()
        return self._pipeline

    async def predict(self, stream_id: str, peek: PredictIn) -> PredictResult:
        """What would be answered if a sample came next; nothing changes."""

        def look(stream: HotStream) -> tuple[Sample, StepResults]:
            sample = _peeked_sample(stream.spec, peek, stream.arrays())
            return sample, stream.model.engine.peek(stream.model.slab, stream.slot, sample)

        stale = await self._is_stale()
        stream, (sample, results) = await self.read(stream_id, look)
        made = answers.predictions(stream.spec, results.prediction[0], results.median[0], results.half_width[0])
        return PredictResult(last_seq=sample.seq - 1, predictions=made, stale=stale)

    # --- looking in --------------------------------------------------------------------------------------------------

    async def history(self, stream_id: str, limit: int) -> StreamHistory:
        """The last samples and their answers, as far as they are kept in memory."""
        await self._get(stream_id)
        return StreamHistory(id=stream_id, points=self._history.read(stream_id, limit))

    async def export_state(self, stream_id: str) -> bytes:
        """Everything that the stream is, as a safetensors file."""
        await self._is_stale()
        stream, state = await self.read(stream_id, HotStream.state)
        return await asyncio.to_thread(state.to_bytes, stream.model.engine.layout)

    async def last_seqs(self, stream_ids: Iterable[str]) -> dict[str, int]:
        """Number of the last sample of each of these streams; streams that do not exist are left out."""
        await self._is_stale()
        found: dict[str, int] = {}

        async def look(stream_id: str) -> None:
            try:
                _, found[stream_id] = await self.read(stream_id, _last_seq)
            except Problem as problem:
                if problem.code != "stream_not_found":
                    raise

        # Cold ones come together; not all at once, or they would push each other out of memory.
        wanted = list(dict.fromkeys(stream_ids))
        for start in range(0, len(wanted), MAX_TOGETHER):
            await asyncio.gather(*map(look, wanted[start : start + MAX_TOGETHER]))
        return found


def _last_seq(stream: HotStream) -> int:
    return int(stream.arrays()["stream.seq"])


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    redis-py sends within `asyncio.wait_for`, which up to Python 3.11 loses a cancellation that comes just as it ends.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        ended, running = await asyncio.wait(running, timeout=0.5)
        for task in ended:
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("task_failed", task=task.get_name(), exc_info=error)


def _peeked_sample(spec: ModelSpec, peek: PredictIn, arrays: Mapping[str, NDArray[Any]]) -> Sample:
    """The sample to imagine: by default one typical gap after the last, all values missing."""
    last_t, gap = float(arrays["stream.last_t"]), float(arrays["clock.gap"])
    started = int(arrays["stream.seq"]) > 0
    t = intake.seconds(peek.t) if peek.t is not None else last_t + (gap if gap > 0 else 1.0)
    x = intake.values(peek.x) if peek.x is not None else (float("nan"),) * spec.num_features
    try:
        check_values(spec, t, x)
    except RecordError as error:
        raise Problem(error.code, str(error)) from None
    if started and t < last_t:
        raise Problem("late_sample", "`t` must not lie before the stream's last sample.")
    return Sample(seq=int(arrays["stream.seq"]) + 1, t=t, x=x)


def _stopping() -> Problem:
    return Problem("draining", "the server is starting or stopping; send again.", retry_after_s=1.0)


__all__ = ["StreamHost"]
