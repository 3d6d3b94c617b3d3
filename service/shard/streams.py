"""Streams in memory: which are hot, and how a cold one comes back."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

import msgspec

from liquid_core.engine.admission import Ledger
from liquid_core.engine.layout import RowArrays
from liquid_core.engine.records import Record
from liquid_core.errors import EngineUnavailableError, SpecError
from liquid_core.spec import ModelSpec
from liquid_core.state import StreamState
from service import clock
from service.problems import CATALOGUE, Problem
from service.shard.models import EngineRoom, Model, RoomFull
from service.store import StoreError, StreamStore


class StreamMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What the store keeps of a stream beside its log and snapshots."""

    #: Of its newest snapshot; of its creation, as long as it has none.
    spec: ModelSpec
    created_at: float

    @classmethod
    def from_json(cls, text: bytes) -> StreamMeta:
        """Raises `SpecError` or `msgspec.MsgspecError` where it cannot be read."""
        raw = msgspec.json.decode(text, type=_RawMeta)
        return cls(spec=_spec_of(bytes(raw.spec)), created_at=raw.created_at)


class _RawMeta(msgspec.Struct):
    spec: msgspec.Raw
    created_at: float


@lru_cache(maxsize=256)
def _spec_of(text: bytes) -> ModelSpec:
    """Thousands of streams have the same spec, and it is read with each of them."""
    return ModelSpec.from_json(text)


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
    #: Requests that have brought records and are not answered yet: as long as there are any, it stays in memory.
    under_way: int = 0
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

    @property
    def has_new_spec(self) -> bool:
        """Whether what the store says of it, to whoever lists streams, is of another spec; a snapshot mends that."""
        return self.spec.digest != self.meta.spec.digest

    @property
    def new_meta(self) -> StreamMeta:
        """What the store shall say of it."""
        return msgspec.structs.replace(self.meta, spec=self.spec)

    def arrays(self) -> RowArrays:
        """The stream's arrays as they lie in the slab: to be read in the engine's thread, and not to be kept."""
        self._check()
        return RowArrays(self.model.engine.layout, self.model.slab.rows[self.slot])

    def state(self) -> StreamState:
        """A copy of the stream's state; to be called in the engine's thread."""
        self._check()
        return StreamState(spec=self.spec, row=self.model.slab.read(self.slot), numerics=self.model.numerics)

    def _check(self) -> None:
        if self.abandoned:
            raise StreamForgotten(self.id)


class Source(Protocol):
    """Where streams come from that are not in memory (`service.shard.hydration`)."""

    async def bring(self, stream_id: str, *, idle: bool) -> HotStream: ...
    def hurry(self, stream_id: str) -> None: ...


class StreamTable:
    """Hot streams by id; a stream is hydrated from snapshot and log when it is first touched.

    Parameters
    ----------
    source
        Asked for a stream at its first touch, once at a time.
    """

    def __init__(self, store: StreamStore, room: EngineRoom, source: Source) -> None:
        self._store = store
        self._room = room
        self._source = source
        #: The longest untouched first.
        self._hot: OrderedDict[str, HotStream] = OrderedDict()
        #: Streams that are on their way into memory.
        self._coming: dict[str, asyncio.Task[HotStream]] = {}
        #: Those of them that nobody waits for.
        self._idle: set[str] = set()
        #: Counts how often everything was forgotten.
        self._era = 0
        #: One lock an id, as long as somebody holds it or waits for it.
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._hot)

    def hot(self) -> list[HotStream]:
        return list(self._hot.values())

    def peek(self, stream_id: str) -> HotStream | None:
        """The stream if it is hot."""
        return self._hot.get(stream_id)

    def longest_untouched_first(self) -> Iterator[HotStream]:
        return iter(self._hot.values())

    async def get(self, stream_id: str) -> HotStream:
        """The stream, hydrated if need be; `Problem` ``stream_not_found`` where there is none."""
        while True:
            hot = self._hot.get(stream_id)
            if hot is not None:
                self._hot.move_to_end(stream_id)
                return hot
            coming = self._coming.get(stream_id)
            if coming is None:
                coming = self._bring(stream_id)
            elif stream_id in self._idle:
                self._idle.remove(stream_id)
                self._source.hurry(stream_id)
            # Whoever goes away does not stop it: others may wait for it, and its place in a slab must be known.
            with suppress(RoomFull, StreamForgotten):  # it came while nobody waited for it, or was forgotten: once more
                await asyncio.shield(coming)

    async def warm(self, stream_ids: Iterable[str]) -> bool:
        """Bring streams in that nobody has touched, as long as there is room; False where there was none.

        Streams that cannot be had are passed over, but for a store that does not answer.
        """
        cold = [each for each in stream_ids if each not in self._hot and each not in self._coming]
        self._idle.update(cold)
        outcomes = await asyncio.gather(*map(self._bring, cold), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, StoreError) or not isinstance(outcome, Exception | HotStream):
                raise outcome
        return not any(isinstance(outcome, RoomFull) for outcome in outcomes)

    def _bring(self, stream_id: str) -> asyncio.Task[HotStream]:
        return self._coming_by(stream_id, self._come(stream_id))

    def _coming_by(self, stream_id: str, way: Coroutine[Any, Any, HotStream]) -> asyncio.Task[HotStream]:
        async def come() -> HotStream:
            try:
                return await way
            finally:
                del self._coming[stream_id]
                self._idle.discard(stream_id)

        coming = asyncio.create_task(come(), name="stream-coming")
        self._coming[stream_id] = coming
        coming.add_done_callback(_retrieve)
        return coming

    async def _come(self, stream_id: str) -> HotStream:
        async with self.claim(stream_id):
            era = self._era
            hot = await self._source.bring(stream_id, idle=stream_id in self._idle)
            return await self._let_in(hot, era)

    async def _let_in(self, hot: HotStream, era: int) -> HotStream:
        if era != self._era:
            # It was read before everything was forgotten, and may be older than what is stored by now.
            hot.abandoned = True
            await self._room.run(partial(self._unload, hot))
            raise StreamForgotten(hot.id)
        self._hot[hot.id] = hot
        if hot.id in self._idle:
            self._hot.move_to_end(hot.id, last=False)
        return hot

    async def evict(self, streams: Sequence[HotStream]) -> None:
        """Let streams leave memory, whose records are all in the store."""
        for hot in streams:
            hot.abandoned = True
            del self._hot[hot.id]

        def unload() -> None:
            for hot in streams:
                self._unload(hot)

        await self._room.run(unload)

    async def create(self, stream_id: str, spec: ModelSpec) -> bool:
        """Make the stream in the store; False where it exists already.

        Its model is built first: a spec that cannot be built must not take an id.
        """
        await self._room.prepare([spec])
        try:
            model = await self._room.run(partial(self._model_that_fits, spec))
        except SpecError as error:
            raise Problem(error.code if error.code in CATALOGUE else "spec_invalid", str(error)) from error
        except EngineUnavailableError as error:
            raise not_for_this_engine(error) from error
        meta = StreamMeta(spec=spec, created_at=time.time())
        async with self.claim(stream_id):
            era = self._era
            try:
                incarnation = await self._store.create(stream_id, msgspec.json.encode(meta))
            except BaseException:
                await self._room.run(partial(self._room.release, model))
                raise
            if incarnation is not None and stream_id not in self._coming:
                # It is known without reading it. Where there is no room for it, its first touch makes some.
                way = self._begin(new_stream(stream_id, incarnation, meta), era)
                with suppress(RoomFull, StreamForgotten):
                    await asyncio.shield(self._coming_by(stream_id, way))
            else:
                await self._room.run(partial(self._room.release, model))
        return incarnation is not None

    async def _begin(self, load: Callable[[EngineRoom], HotStream], era: int) -> HotStream:
        return await self._let_in(await self._room.run(partial(load, self._room)), era)

    def _model_that_fits(self, spec: ModelSpec) -> Model:
        model, memory = self._room.model(spec), self._room.memory
        needed = model.engine.overhead_bytes + model.engine.bytes_per_stream
        if memory is not None and needed > memory:
            self._room.release(model)
            raise Problem(
                "spec_invalid",
                f"a stream of this spec takes {needed} bytes of memory, and this server may use {memory} for all of "
                "them: give it more (LIQUID_MEMORY), or take a smaller cell or window.",
            )
        return model

    def claim(self, stream_id: str) -> asyncio.Lock:
        """To be held by whoever deletes the stream: until then it neither comes into memory nor is made."""
        return self._locks.setdefault(stream_id, asyncio.Lock())

    async def delete(self, stream_id: str) -> bool:
        """Remove a stream that the caller has claimed from memory and store; False where there was none."""
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

    async def read_anew(self, hot: HotStream) -> None:
        """Abandon a stream's memory, and let it come back without waiting for its next touch.

        As long as a stream is not in memory, a store that loses it has lost it.
        """
        await self.abandon(hot)
        if hot.id not in self._hot and hot.id not in self._coming:
            self._idle.add(hot.id)
            self._bring(hot.id)

    async def abandon_all(self) -> None:
        """Forget every stream's memory, at once."""
        self._era += 1
        given_up, self._hot = list(self._hot.values()), OrderedDict()
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
        self._room.free(hot.model, hot.slot)


def new_stream(stream_id: str, incarnation: str, meta: StreamMeta) -> Callable[[EngineRoom], HotStream]:
    """What brings a stream that has no records yet into memory; to be called in the engine's thread."""
    now = clock.now()

    def load(room: EngineRoom) -> HotStream:
        model = room.model(meta.spec)
        slot = room.load(model, model.engine.initial_row())
        return HotStream(
            id=stream_id,
            incarnation=incarnation,
            meta=meta,
            model=model,
            slot=slot,
            ledger=Ledger(model.spec, RowArrays(model.engine.layout, model.slab.rows[slot])),
            position=0,
            snapshot_position=0,
            snapshot_at=now,
            changed_at=now,
        )

    return load


def advance(room: EngineRoom, stream: HotStream, records: Sequence[Record]) -> None:
    """Apply records that are in the stream's log, one after the other; to be called in the engine's thread.

    Raises
    ------
    StreamForgotten
        It is not in memory any more.
    """
    before = stream.model
    after, row = room.fold(before, stream.state().row, records)
    views = after.engine.layout.views(row[None])
    ledger = Ledger(after.spec, {name: view[0] for name, view in views.items()})
    if after is before:
        before.slab.write(stream.slot, row)
    else:
        # Not held against the limit on memory: it is in the log, and what it was leaves at once.
        slot = room.put(after, row)
        room.free(before, stream.slot)
        stream.model, stream.slot = after, slot
    stream.ledger = ledger


def _retrieve(coming: asyncio.Task[HotStream]) -> None:
    """Take note of how a task ended: whoever waited for it may have gone."""
    if not coming.cancelled():
        coming.exception()


def not_for_this_engine(error: EngineUnavailableError) -> Problem:
    return Problem("engine_unavailable", f"{error} A server with --engine auto takes it.")


__all__ = ["HotStream", "StreamForgotten", "StreamMeta", "StreamTable", "advance", "not_for_this_engine"]
