"""The way of a sample through the service: admit -> append -> step -> reply.

One loop takes micro-batch after micro-batch from the batcher:

1. *admit*: every record is checked against its stream; refused ones and repeats go no further;
2. *append*: the admitted ones go to the log in one fenced script call; from here on they are part of their streams;
3. *step*: the engine applies them in its own thread, while the next micro-batch gathers;
4. *reply*: every request gets its answers, and snapshots are written where replay would get long.

If an append fails, what was admitted is taken back, and nothing is stepped that is not known to be in the log. Where
nobody knows whether it failed, the streams are in doubt: before their next record the healer compares them with the
log. What was acknowledged stays in memory meanwhile, so that a store which lost it can have it again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from liquid_core.engine.admission import Verdict
from liquid_core.engine.records import Label, Observation
from liquid_core.engine.results import StepResults, Update
from liquid_core.errors import RecordError
from service import clock
from service.messages import HistoryPoint, LabelIn, LabelResult, Prediction, ProblemItem, SampleIn, SampleResult
from service.metrics import Metrics
from service.problems import Problem
from service.shard import answers, intake
from service.shard.batcher import Batcher, Outcome, Waiting
from service.shard.commands import Command
from service.shard.controls import AdmittedControl, Controls, wants_snapshot
from service.shard.healing import Healer
from service.shard.history import HistoryBook
from service.shard.models import EngineRoom, Model
from service.shard.ownership import Ownership
from service.shard.snapshots import Snapshotter
from service.shard.store_gate import StoreGate
from service.shard.streams import HotStream, StreamTable
from service.store import (
    Append,
    Appended,
    Durability,
    Fenced,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StreamStore,
    encode_entry,
)

log = structlog.get_logger(__name__)

#: Pauses before an append is tried again; it is idempotent, so trying again is always safe.
APPEND_RETRY_PAUSES_S = (0.05, 0.25)
#: An append that took longer than this to fail is not tried again: everybody waits for it.
APPEND_RETRY_WITHIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Admitted:
    """A record that its stream may apply, or one that it has applied before."""

    waiting: Waiting
    verdict: Verdict
    record: Observation
    position: int

    @property
    def stream(self) -> HotStream:
        return self.waiting.stream


class Pipeline:
    """Runs micro-batches until it is drained."""

    def __init__(
        self,
        *,
        store: StreamStore,
        room: EngineRoom,
        table: StreamTable,
        batcher: Batcher,
        ownership: Ownership,
        gate: StoreGate,
        healer: Healer,
        snapshotter: Snapshotter,
        history: HistoryBook,
        metrics: Metrics,
        durability: Durability,
    ) -> None:
        self._store = store
        self._room = room
        self._table = table
        self._batcher = batcher
        self._ownership = ownership
        self._gate = gate
        self._healer = healer
        self._snapshotter = snapshotter
        self._history = history
        self._metrics = metrics
        self._durability = durability
        self._controls = Controls(room, metrics)
        #: Held while a micro-batch is on its way, for whoever must not meet half of one: a deletion, the healer.
        self.working = asyncio.Lock()

    async def run(self) -> None:
        """Work until the batcher is closed and empty."""
        try:
            while await self._batcher.wait():
                async with self.working:
                    if batch := self._batcher.take():
                        await self._work(batch)
        except Exception:
            log.exception("pipeline_failed")
            raise
        finally:
            # However this ends, nobody waits for an answer that never comes.
            self._batcher.abort(_stopped())

    async def _work(self, batch: list[Waiting]) -> None:
        started = clock.now()
        self._metrics.queue_depth.set(self._batcher.pending)
        try:
            await self._process(batch)
        except asyncio.CancelledError:
            for waiting in batch:
                waiting.submission.fail(_stopped())
            raise
        except Exception:
            log.exception("micro_batch_failed")
            problem = Problem("internal", "the server failed on this request; see its log.")
            self._refuse(batch, problem)
            for stream in _streams_of(batch):
                await self._table.abandon(stream)
        self._batcher.cycle_took(clock.now() - started)

    async def _process(self, batch: list[Waiting]) -> None:
        begun = clock.now()
        try:
            self._ownership.check()
            self._gate.check()
            with self._store_problems():
                batch = await self._with_room_in_logs(await self._without_doubt(batch))
        except Problem as problem:
            self._refuse(batch, problem)
            return
        outcomes: list[Outcome | Admitted | AdmittedControl] = [self._admit(waiting) for waiting in batch]
        fresh = [entry for entry in outcomes if isinstance(entry, Admitted) and entry.verdict is Verdict.NEW]
        controls = [entry for entry in outcomes if isinstance(entry, AdmittedControl)]
        try:
            failed = await self._append([*fresh, *controls]) if fresh or controls else {}
        except Problem as problem:
            self._refuse(batch, problem)
            return
        appended = clock.now()
        answered = await self._step([entry for entry in fresh if entry.stream.id not in failed])
        answered |= await self._controls.apply([entry for entry in controls if entry.stream.id not in failed])
        stepped = clock.now()
        repeats = [entry for entry in outcomes if isinstance(entry, Admitted) and entry.verdict is Verdict.DUPLICATE]
        answered |= await self._answer_again(repeats)
        settled: list[tuple[Waiting, Outcome]] = []
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.stream.id in failed:
                continue
            if isinstance(outcome, Admitted | AdmittedControl):
                outcome = answered[id(outcome)]
            settled.append((waiting, outcome))
            waiting.submission.settle(outcome)
        self._count(settled)
        for stream_id, reason in failed.items():
            self._refuse([waiting for waiting in batch if waiting.stream.id == stream_id], reason)
        self._time(batch, begun, appended, stepped)
        await self._snapshot_where_due(fresh, controls)

    async def _without_doubt(self, batch: list[Waiting]) -> list[Waiting]:
        """The micro-batch without the streams that turn out to have to be read anew."""
        doubtful = [stream for stream in _streams_of(batch) if stream.doubtful]
        if not doubtful:
            return batch
        await self._healer.reconcile(doubtful)
        self._refuse([waiting for waiting in batch if waiting.stream.abandoned], _read_anew())
        return [waiting for waiting in batch if not waiting.stream.abandoned]

    async def _with_room_in_logs(self, batch: list[Waiting]) -> list[Waiting]:
        """The micro-batch without the streams whose replay would get too long, for want of a snapshot."""
        full = await self._snapshotter.write_full(_streams_of(batch))
        if not full:
            return batch
        self._refuse([waiting for waiting in batch if waiting.stream in full], _no_snapshot())
        return [waiting for waiting in batch if waiting.stream not in full]

    def _refuse(self, batch: Sequence[Waiting], problem: Problem) -> None:
        """Answer these requests, and what waits behind them for the same streams, with `problem`."""
        for waiting in batch:
            waiting.submission.fail(problem)
        for stream in _streams_of(batch):
            self._batcher.forget(stream.id, problem)

    # --- admit -------------------------------------------------------------------------------------------------------

    def _admit(self, waiting: Waiting) -> Admitted | AdmittedControl | Outcome:
        stream, item = waiting.stream, waiting.item
        assert not stream.abandoned, "who forgets a stream empties its queue, and not while a micro-batch is on its way"
        try:
            if isinstance(item, Command):
                return self._controls.admit(waiting, item)
            verdict, record = _admit_item(stream, item)
        except RecordError as error:
            extensions = {"expected_seq": stream.ledger.last_seq + 1} if error.code.startswith("seq_") else {}
            return _refusal(Problem(error.code, str(error), **extensions))
        except Problem as problem:
            return _refusal(problem)
        if verdict is Verdict.NEW:
            stream.position += 1
            stream.changed_at = clock.now()
        return Admitted(waiting=waiting, verdict=verdict, record=record, position=stream.position)

    # --- append ------------------------------------------------------------------------------------------------------

    async def _append(self, fresh: Sequence[Admitted | AdmittedControl]) -> dict[str, Problem]:
        """Bring the records into the log; the streams whose records it did not take, with the reason.

        Raises the `Problem` to answer everybody with where the store failed as a whole.
        """
        started = clock.now()
        try:
            with self._store_problems():
                appends = self._appends(fresh)
                outcomes = await self._append_with_retries(appends)
        except Problem as problem:
            await self._table.withdraw(_streams_of(fresh), doubtful=problem.code != "store_full")
            raise
        self._gate.has_room()
        self._metrics.log_append_duration_seconds.observe(clock.now() - started)
        self._metrics.log_append_entries.inc(len(fresh))
        failed: dict[str, Problem] = {}
        for stream, appended in zip(_streams_of(fresh), outcomes, strict=True):
            if appended.outcome in ("mismatch", "missing"):
                log.error(f"log_{appended.outcome}", stream_id=stream.id, log=appended.tail)
                failed[stream.id] = _read_anew()
        if failed:
            await self._table.withdraw([stream for stream in _streams_of(fresh) if stream.id in failed], doubtful=True)
        return failed

    def _appends(self, fresh: Sequence[Admitted | AdmittedControl]) -> list[Append]:
        by_stream: dict[str, list[Admitted | AdmittedControl]] = {}
        for admitted in fresh:
            by_stream.setdefault(admitted.stream.id, []).append(admitted)
        return [
            Append(
                stream_id=stream_id,
                incarnation=entries[0].stream.incarnation,
                first_position=entries[0].position,
                entries=[encode_entry(entry.record, entry.position, epoch) for entry in entries],
            )
            for stream_id, entries in by_stream.items()
            for epoch in [self._store.epoch_of(stream_id)]
        ]

    async def _append_with_retries(self, appends: list[Append]) -> Sequence[Appended]:
        for pause in APPEND_RETRY_PAUSES_S:
            started = clock.now()
            try:
                return await self._store.append(appends)
            except StoreUnavailable as error:
                log.warning("append_unknown" if error.outcome_unknown else "append_failed", error=str(error))
                if clock.now() - started > APPEND_RETRY_WITHIN_S:
                    raise
                await asyncio.sleep(pause)
        return await self._store.append(appends)

    @contextmanager
    def _store_problems(self) -> Iterator[None]:
        """Turns the store's errors into problems, and tells those who look after store and ownership."""
        try:
            yield
        except Fenced as error:
            self._ownership.lose_to(error)
            self._ownership.check()
        except StoreFull as error:
            self._count_failure("store_full", error)
            raise self._gate.full() from None
        except StoreError as error:
            self._count_failure("store_unavailable", error)
            raise self._gate.failed(error) from None

    def _count_failure(self, code: str, error: StoreError) -> None:
        self._metrics.log_append_failures.labels(reason=code).inc()
        log.error("append_failed", code=code, error=str(error))

    # --- step --------------------------------------------------------------------------------------------------------

    async def _step(self, fresh: list[Admitted]) -> dict[int, Outcome]:
        """Apply the records; the outcome of each by its identity."""
        by_model: dict[str, list[Admitted]] = {}
        for admitted in fresh:
            by_model.setdefault(admitted.stream.model.spec.digest, []).append(admitted)
        outcomes: dict[int, Outcome] = {}
        for group in by_model.values():
            model = group[0].stream.model
            started = clock.now()
            results = await self._room.run(partial(_step_group, model, group))
            self._metrics.batch_duration_seconds.labels(model=model.name).observe(clock.now() - started)
            self._metrics.batch_size.labels(model=model.name).observe(len(group))
            self._observe_learning(model, group, results)
            made = answers.predictions_of_many(model.spec, results.prediction, results.median, results.half_width)
            scores, alarms = results.anomaly.tolist(), results.drift.tolist()
            for admitted, predictions, score, alarm in zip(group, made, scores, alarms, strict=True):
                outcomes[id(admitted)] = self._outcome(
                    admitted, predictions, answers.score(score), answers.detector(model.spec, alarm)
                )
        return outcomes

    def _outcome(
        self, admitted: Admitted, made: list[Prediction], anomaly: float | None, drift: str | None
    ) -> SampleResult | LabelResult:
        stream, record = admitted.stream, admitted.record
        if isinstance(record, Label):
            self._history.label(stream.id, record.seq, answers.label(stream.spec, record.y))
            return self._label_result(record.seq, anomaly, drift)
        if self._history.has_place(stream.id):
            point = HistoryPoint(
                seq=record.seq,
                t=record.t,
                x=answers.values(record.x),
                y=None if record.y is None else answers.label(stream.spec, record.y),
                predictions=made,
                anomaly=anomaly,
                drift=drift,
            )
            self._history.sample(stream.id, point)
        return self._sample_result(record.seq, made, anomaly, drift)

    def _label_result(
        self, seq: int, anomaly: float | None, drift: str | None, *, duplicate: bool = False
    ) -> LabelResult:
        return LabelResult(seq=seq, anomaly=anomaly, drift=drift, duplicate=duplicate, durability=self._durability)

    def _sample_result(
        self,
        seq: int,
        made: list[Prediction] | None,
        anomaly: float | None,
        drift: str | None,
        *,
        duplicate: bool = False,
    ) -> SampleResult:
        return SampleResult(
            seq=seq, predictions=made, anomaly=anomaly, drift=drift, duplicate=duplicate, durability=self._durability
        )

    async def _answer_again(self, repeats: list[Admitted]) -> dict[int, Outcome]:
        """The stored answers to records that had been applied before; each by the record's identity."""
        if not repeats:
            return {}
        return await self._room.run(lambda: {id(repeat): self._stored_outcome(repeat) for repeat in repeats})

    def _stored_outcome(self, repeat: Admitted) -> Outcome:
        stream, seq = repeat.stream, repeat.record.seq
        if isinstance(repeat.record, Label):
            return self._label_result(seq, None, None, duplicate=True)
        stored = answers.stored_answer(stream.spec, stream.arrays(), seq)
        made, anomaly, drift = stored if stored is not None else (None, None, None)
        return self._sample_result(seq, made, anomaly, drift, duplicate=True)

    # --- afterwards --------------------------------------------------------------------------------------------------

    # To look a metric's labels up takes longer than to count, so each is looked up once a micro-batch.

    def _observe_learning(self, model: Model, group: list[Admitted], results: StepResults) -> None:
        updates = results.update.tolist()
        for update, result in ((Update.APPLIED, "ok"), (Update.SKIPPED, "skipped")):
            if number := updates.count(update):
                self._metrics.updates.labels(model=model.name, result=result).inc(number)
        errors = self._metrics.prequential_error.labels(model=model.name)
        for surprise in results.surprise.tolist():
            if surprise >= 0:
                errors.observe(surprise)
        detector = model.spec.learner.drift_spec.kind
        for admitted, alarm in zip(group, results.drift.tolist(), strict=True):
            if alarm:
                self._metrics.drift_events.labels(model=model.name, detector=detector).inc()
                log.info("drift_detected", stream_id=admitted.stream.id, seq=admitted.record.seq)

    def _count(self, settled: list[tuple[Waiting, Outcome]]) -> None:
        samples: Counter[tuple[str, str]] = Counter()
        labels: Counter[str] = Counter()
        for waiting, outcome in settled:
            if isinstance(waiting.item, Command):
                continue  # counted as they are applied
            if isinstance(waiting.item, LabelIn):
                labels[_result(outcome)] += 1
                continue
            samples[waiting.stream.model.name, _result(outcome)] += 1
            if isinstance(outcome, ProblemItem):
                self._metrics.samples_rejected.labels(reason=outcome.problem["code"]).inc()
        for (model, result), number in samples.items():
            self._metrics.samples.labels(model=model, result=result).inc(number)
        for result, number in labels.items():
            self._metrics.labels.labels(result=result).inc(number)

    def _time(self, batch: list[Waiting], begun: float, appended: float, stepped: float) -> None:
        answered = clock.now()
        received: dict[str, list[float]] = {}
        for waiting in batch:
            received.setdefault(waiting.stream.model.name, []).append(waiting.submission.received_at)
        for model, moments in received.items():
            queue, append, step, total = (
                self._metrics.step_duration_seconds.labels(model=model, stage=stage)
                for stage in ("queue", "append", "step", "total")
            )
            for received_at in moments:
                queue.observe(begun - received_at)
                append.observe(appended - begun)
                step.observe(stepped - appended)
                total.observe(answered - received_at)

    async def _snapshot_where_due(self, fresh: list[Admitted], controls: list[AdmittedControl]) -> None:
        try:
            await self._snapshotter.write(_streams_of([each for each in controls if wants_snapshot(each.record)]))
            await self._snapshotter.write_due(_streams_of([*fresh, *controls]))
        except Fenced as error:
            self._ownership.lose_to(error)
        except StoreError as error:
            # The log still has everything, and a snapshot is tried again before it gets longer than may be replayed.
            log.warning("snapshot_failed", error=str(error))


def _streams_of(items: Sequence[Waiting | Admitted | AdmittedControl]) -> list[HotStream]:
    return list(dict.fromkeys(item.stream for item in items))


def _admit_item(stream: HotStream, item: SampleIn | LabelIn) -> tuple[Verdict, Observation]:
    if isinstance(item, LabelIn):
        return stream.ledger.admit_label(item.seq, intake.label(item.y, stream.spec))
    label = None if item.y is None else intake.label(item.y, stream.spec)
    return stream.ledger.admit_sample(intake.seconds(item.t), intake.values(item.x), item.seq, label)


def _step_group(model: Model, group: list[Admitted]) -> StepResults:
    slots, records = [admitted.stream.slot for admitted in group], [admitted.record for admitted in group]
    return model.engine.step(model.slab, slots, records)


def _result(outcome: Outcome) -> str:
    """The `result` label of an outcome."""
    if isinstance(outcome, ProblemItem):
        return "rejected"
    return "duplicate" if outcome.duplicate else "applied"


def _read_anew() -> Problem:
    return Problem(
        "store_unavailable",
        "the stream is being read anew from the store; send again with the same `seq`.",
        retry_after_s=0.1,
    )


def _no_snapshot() -> Problem:
    return Problem(
        "store_unavailable",
        "the store takes no snapshot of the stream, and without one its log may not grow; send again with the "
        "same `seq`.",
        retry_after_s=1.0,
    )


def _stopped() -> Problem:
    return Problem(
        "draining", "the server stopped before this was answered; send again with the same `seq`.", retry_after_s=1.0
    )


def _refusal(problem: Problem) -> ProblemItem:
    return ProblemItem(problem=problem.as_dict())


__all__ = ["Pipeline"]
