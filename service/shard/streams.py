"""Streams in memory: which are hot, and how a cold one comes back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import structlog
from numpy.typing import NDArray

from liquid_core.engine.admission import Ledger
from liquid_core.engine.records import Record
from liquid_core.errors import SpecError, StateFormatError
from liquid_core.spec import ModelSpec
from liquid_core.state import StreamState
from liquid_core.types import ByteArray
from service.metrics import Metrics
from service.problems import CATALOGUE, Problem
from service.shard.models import EngineRoom, Model
from service.store import Snapshot, StreamStore

log = structlog.get_logger(__name__)


class StreamMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What the store keeps of a stream beside its log and snapshots."""

    spec: ModelSpec
    created_at: float


@dataclass(slots=True)
class HotStream:
    """A stream whose state is in a slab."""

    id: str
    meta: StreamMeta
    model: Model
    slot: int
    ledger: Ledger
    #: Position of the last record in the log, and of the last that a snapshot holds.
    position: int
    snapshot_position: int
    snapshot_at: float
    touched_at: float
    #: A write whose outcome is unknown happened: memory may be behind the log and must not be used any more.
    abandoned: bool = False

    @property
    def spec(self) -> ModelSpec:
        return self.model.spec

    @property
    def replay_length(self) -> int:
        """Records that a crash now would have to replay."""
        return self.position - self.snapshot_position

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of the stream's arrays; to be called in the engine's thread."""
        row = self._row()
        return {name: view[0] for name, view in self.model.engine.layout.views(row[None]).items()}

    def state(self) -> StreamState:
        """The stream's state; to be called in the engine's thread."""
        return StreamState(spec=self.spec, row=self._row(), numerics=self.model.numerics)

    def _row(self) -> ByteArray:
        if self.abandoned:
            raise Problem("stream_not_found", "the stream was deleted or is being read anew; ask again.")
        return self.model.slab.read(self.slot)


class StreamTable:
    """Hot streams by id; a stream is hydrated from snapshot and log when it is first touched."""

    def __init__(self, store: StreamStore, room: EngineRoom, metrics: Metrics) -> None:
        self._store = store
        self._room = room
        self._metrics = metrics
        self._hot: dict[str, HotStream] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def __len__(self) -> int:
        return len(self._hot)

    def hot(self) -> list[HotStream]:
        return list(self._hot.values())

    def peek(self, stream_id: str) -> HotStream | None:
        """The stream if it is hot."""
        return self._hot.get(stream_id)

    async def get(self, stream_id: str) -> HotStream:
        """The stream, hydrated if need be; `Problem` ``stream_not_found`` where there is none."""
        hot = self._hot.get(stream_id)
        if hot is not None:
            hot.touched_at = time.monotonic()
            return hot
        async with self._lock(stream_id):
            hot = self._hot.get(stream_id)
            return hot if hot is not None else await self._hydrate(stream_id)

    async def create(self, stream_id: str, spec: ModelSpec) -> bool:
        """Make the stream in the store; False where it exists already.

        Its model is built first: a spec that cannot be built must not take an id.
        """
        try:
            model = await self._room.run(partial(self._room.model, spec))
        except SpecError as error:
            raise Problem(error.code if error.code in CATALOGUE else "spec_invalid", str(error)) from error
        meta = StreamMeta(spec=spec, created_at=time.time())
        async with self._lock(stream_id):
            try:
                created = await self._store.create(stream_id, msgspec.json.encode(meta))
            except BaseException:
                await self._room.run(partial(self._room.release, model))
                raise
        if not created:
            await self._room.run(partial(self._room.release, model))
        return created

    async def delete(self, stream_id: str) -> bool:
        """Remove the stream from memory and store; False where there was none."""
        async with self._lock(stream_id):
            await self._drop(stream_id)
            return await self._store.delete(stream_id)

    async def abandon(self, stream_id: str) -> None:
        """Forget the stream's memory, whose relation to the log is not known; its next touch reads both anew."""
        async with self._lock(stream_id):
            await self._drop(stream_id)

    async def _drop(self, stream_id: str) -> None:
        hot = self._hot.pop(stream_id, None)
        if hot is not None:
            hot.abandoned = True
            await self._room.run(partial(self._unload, hot))

    def _unload(self, hot: HotStream) -> None:
        hot.model.slab.free(hot.slot)
        self._room.release(hot.model)

    async def _hydrate(self, stream_id: str) -> HotStream:
        started = time.perf_counter()
        raw = await self._store.read_meta(stream_id)
        if raw is None:
            self._locks.pop(stream_id, None)
            raise Problem("stream_not_found", "no stream has this id; create it with PUT first.")
        meta = msgspec.json.decode(raw, type=StreamMeta)
        snapshot = await self._store.read_snapshot(stream_id)
        snapshot_position = 0 if snapshot is None else snapshot.position
        tail = await self._store.read_log(stream_id, snapshot_position)
        records = [entry.record for entry in tail]
        model, slot, ledger = await self._room.run(partial(self._load, stream_id, meta.spec, snapshot, records))
        hot = HotStream(
            id=stream_id,
            meta=meta,
            model=model,
            slot=slot,
            ledger=ledger,
            position=snapshot_position + len(records),
            snapshot_position=snapshot_position,
            snapshot_at=time.monotonic(),
            touched_at=time.monotonic(),
        )
        self._hot[stream_id] = hot
        took = time.perf_counter() - started
        self._metrics.hydrations.inc()
        self._metrics.hydration_duration_seconds.observe(took)
        if records:
            self._metrics.replay_entries.inc(len(records))
            self._metrics.replay_duration_seconds.observe(took)
        log.debug("stream_hydrated", stream_id=stream_id, replayed=len(records), seconds=round(took, 4))
        return hot

    def _load(
        self, stream_id: str, spec: ModelSpec, snapshot: Snapshot | None, records: list[Record]
    ) -> tuple[Model, int, Ledger]:
        """Bring a stream into its slab and replay its records; in the engine's thread, as all that touches models."""
        model = self._room.model(spec)
        try:
            row = model.engine.initial_row() if snapshot is None else _read_row(stream_id, snapshot.blob, model)
            slot = model.slab.load(row)
            try:
                if records:
                    model.engine.step(model.slab, [slot] * len(records), records)
                views = model.engine.layout.views(model.slab.read(slot)[None])
                return model, slot, Ledger(spec, {name: view[0] for name, view in views.items()})
            except BaseException:
                model.slab.free(slot)
                raise
        except BaseException:
            self._room.release(model)
            raise

    def _lock(self, stream_id: str) -> asyncio.Lock:
        return self._locks.setdefault(stream_id, asyncio.Lock())


def _read_row(stream_id: str, blob: bytes, model: Model) -> ByteArray:
    try:
        state = StreamState.from_bytes(blob, model.engine.layout, model.spec)
    except StateFormatError as error:
        log.error("snapshot_unreadable", stream_id=stream_id, error=str(error))
        raise Problem("internal", "the stream's snapshot cannot be read by this release; see the log.") from error
    if state.numerics != model.numerics:
        # Replay goes on from here with other last bits than before: worth knowing, not worth refusing.
        log.warning("numerics_changed", stream_id=stream_id, then=state.numerics, now=model.numerics)
    return state.row


__all__ = ["HotStream", "StreamMeta", "StreamTable"]
