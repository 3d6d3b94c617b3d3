"""Streams in memory: which are hot, and how a cold one comes back."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import structlog
from numpy.typing import NDArray

from liquid_core.engine.admission import Ledger
from liquid_core.engine.records import Record
from liquid_core.errors import EngineUnavailableError, SpecError, StateFormatError
from liquid_core.spec import ModelSpec
from liquid_core.state import StreamState, spec_of
from liquid_core.types import ByteArray
from service import clock
from service.metrics import Metrics
from service.problems import CATALOGUE, Problem
from service.shard.models import EngineRoom, Model
from service.store import Snapshot, StoreCorrupt, StreamStore

log = structlog.get_logger(__name__)

#: Streams that are read from the store at a time: each takes connections, and all share one engine.
MAX_HYDRATING = 16


class StreamMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What the store keeps of a stream beside its log and snapshots."""

    spec: ModelSpec
    created_at: float


class StreamForgotten(Exception):  # noqa: N818 - no fault: ask the table for the stream again
    """The stream's memory was given up meanwhile: it was deleted, or its next touch reads it anew."""


@dataclass(slots=True, eq=False)
class HotStream:
    """A stream whose state is in a slab."""

    id: str
    #: Tells it from a stream of the same name before or after it.
    incarnation: str
    meta: StreamMeta
    model: Model
    slot: int
    ledger: Ledger
    #: Position of the last record in the log, and of the last that a snapshot holds.
    position: int
    snapshot_position: int
    snapshot_at: float
    #: When it came into memory, or was last given a record.
    changed_at: float
    #: Whether the store may have more or less of it than memory has: to be reconciled before its next record.
    doubtful: bool = False
    #: Deleted, or given up: the slot may be another stream's, so hands off.
    abandoned: bool = False

    @property
    def spec(self) -> ModelSpec:
        return self.model.spec

    @property
    def replay_length(self) -> int:
        """Records that a crash now would have to replay."""
        return self.position - self.snapshot_position

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The stream's arrays as they lie in the slab: to be read in the engine's thread, and not to be kept."""
        self._check()
        rows = self.model.slab.rows[self.slot : self.slot + 1]
        return {name: view[0] for name, view in self.model.engine.layout.views(rows).items()}

    def state(self) -> StreamState:
        """A copy of the stream's state; to be called in the engine's thread."""
        self._check()
        return StreamState(spec=self.spec, row=self.model.slab.read(self.slot), numerics=self.model.numerics)

    def _check(self) -> None:
        if self.abandoned:
            raise StreamForgotten(self.id)


class StreamTable:
    """Hot streams by id; a stream is hydrated from snapshot and log when it is first touched."""

    def __init__(self, store: StreamStore, room: EngineRoom, metrics: Metrics) -> None:
        self._store = store
        self._room = room
        self._metrics = metrics
        self._hot: dict[str, HotStream] = {}
        #: One lock an id, as long as somebody holds it or waits for it.
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._hydrating = asyncio.Semaphore(MAX_HYDRATING)

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
            return hot
        async with self._lock(stream_id):
            hot = self._hot.get(stream_id)
            if hot is None:
                async with self._hydrating:
                    hot = self._hot[stream_id] = await self._hydrate(stream_id)
            return hot

    async def create(self, stream_id: str, spec: ModelSpec) -> bool:
        """Make the stream in the store; False where it exists already.

        Its model is built first: a spec that cannot be built must not take an id.
        """
        try:
            model = await self._room.run(partial(self._room.model, spec))
        except SpecError as error:
            raise Problem(error.code if error.code in CATALOGUE else "spec_invalid", str(error)) from error
        except EngineUnavailableError as error:
            raise not_for_this_engine(error) from error
        meta = StreamMeta(spec=spec, created_at=time.time())
        async with self._lock(stream_id):
            try:
                created = await self._store.create(stream_id, msgspec.json.encode(meta))
            except BaseException:
                await self._room.run(partial(self._room.release, model))
                raise
        if created is None:
            await self._room.run(partial(self._room.release, model))
        return created is not None

    async def delete(self, stream_id: str) -> bool:
        """Remove the stream from memory and store; False where there was none."""
        async with self._lock(stream_id):
            hot = self._hot.get(stream_id)
            if hot is not None:
                await self.abandon(hot)
            return await self._store.delete(stream_id)

    async def abandon(self, hot: HotStream) -> None:
        """Forget a stream's memory, at once: what it has to do with the log is not known any more.

        The next touch of the stream reads snapshot and log anew.
        """
        if not hot.abandoned:
            hot.abandoned = True
            del self._hot[hot.id]
            await self._room.run(partial(self._unload, hot))

    async def abandon_all(self) -> None:
        """Forget every stream's memory, at once."""
        given_up, self._hot = list(self._hot.values()), {}
        for hot in given_up:
            hot.abandoned = True

        def unload() -> None:
            for hot in given_up:
                self._unload(hot)

        await self._room.run(unload)

    async def withdraw(self, streams: Iterable[HotStream], *, doubtful: bool) -> None:
        """Take back what was admitted to these streams and not stepped; `doubtful`: it may be in their logs."""
        affected = [stream for stream in streams if not stream.abandoned]

        def go_back() -> None:
            for stream in affected:
                arrays = stream.arrays()
                stream.ledger = Ledger(stream.spec, arrays)
                stream.position = int(arrays["stream.records"])

        for stream in affected:
            stream.doubtful = stream.doubtful or doubtful
        await self._room.run(go_back)

    def _unload(self, hot: HotStream) -> None:
        hot.model.slab.free(hot.slot)
        self._room.release(hot.model)

    async def _hydrate(self, stream_id: str) -> HotStream:
        started = clock.now()
        [stored] = await self._store.read_streams([stream_id])
        if stored is None:
            raise Problem("stream_not_found", "no stream has this id; create it with PUT first.")
        try:
            if isinstance(stored, StoreCorrupt):
                raise stored
            meta = msgspec.json.decode(stored.meta, type=StreamMeta)
            snapshot_position = 0 if stored.snapshot is None else stored.snapshot.position
            records = [entry.record for entry in stored.entries]
            model, slot, ledger = await self._room.run(
                partial(self._load, stream_id, meta.spec, stored.snapshot, records)
            )
        except (StoreCorrupt, StateFormatError, SpecError, msgspec.MsgspecError) as error:
            log.error("stream_unreadable", stream_id=stream_id, error=str(error))
            raise Problem("internal", "the stored stream cannot be read; the server's log says why.") from error
        except EngineUnavailableError as error:
            log.error("streamnot_for_this_engine", stream_id=stream_id, error=str(error))
            raise not_for_this_engine(error) from error
        hot = HotStream(
            id=stream_id,
            incarnation=stored.incarnation,
            meta=meta,
            model=model,
            slot=slot,
            ledger=ledger,
            position=snapshot_position + len(records),
            snapshot_position=snapshot_position,
            snapshot_at=clock.now(),
            changed_at=clock.now(),
        )
        took = clock.now() - started
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
        """Replay a stream's records and bring it into its slab; in the engine's thread, as all that touches models.

        `spec` is the one that the stream was created with; a snapshot has its own, for records may have changed it.
        """
        model = self._room.model(spec if snapshot is None else spec_of(snapshot.blob))
        try:
            row = model.engine.initial_row() if snapshot is None else _read_row(stream_id, snapshot.blob, model)
            model, row = self._room.fold(model, row, records)
            views = model.engine.layout.views(row[None])
            ledger = Ledger(model.spec, {name: view[0] for name, view in views.items()})
            return model, model.slab.load(row), ledger
        except BaseException:
            self._room.release(model)
            raise

    def _lock(self, stream_id: str) -> asyncio.Lock:
        return self._locks.setdefault(stream_id, asyncio.Lock())


def not_for_this_engine(error: EngineUnavailableError) -> Problem:
    return Problem("engine_unavailable", f"{error} A server with --engine auto takes it.")


def _read_row(stream_id: str, blob: bytes, model: Model) -> ByteArray:
    state = StreamState.from_bytes(blob, model.engine.layout, model.spec)
    if state.numerics != model.numerics:
        # Replay goes on from here with other last bits than before: worth knowing, not worth refusing.
        log.warning("numerics_changed", stream_id=stream_id, then=state.numerics, now=model.numerics)
    return state.row


__all__ = ["HotStream", "StreamForgotten", "StreamMeta", "StreamTable", "not_for_this_engine"]
