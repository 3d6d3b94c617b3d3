"""Loading: what the store has of streams becomes rows in slabs, brought to where the streams' logs end.

In the engine's thread, as all that touches models, but in short pieces: micro-batches go in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import msgspec
import structlog

from liquid_core.engine.admission import Ledger
from liquid_core.engine.layout import RowArrays
from liquid_core.engine.records import Record
from liquid_core.errors import EngineUnavailableError, SpecError, StateFormatError
from liquid_core.state import StreamState
from liquid_core.types import ByteArray
from service import clock
from service.problems import Problem
from service.shard.models import EngineRoom, Model, RoomFull
from service.shard.streams import HotStream, StreamMeta, not_for_this_engine
from service.store import Snapshot, StoreCorrupt, StreamStore

log = structlog.get_logger(__name__)

#: Records that are replayed in one call of the engine.
MAX_REPLAY = 256


@dataclass(frozen=True, slots=True)
class Stored:
    """A stream as it was read."""

    id: str
    meta: StreamMeta
    snapshot: Snapshot | None
    #: What came after the snapshot.
    records: list[Record]


@dataclass(frozen=True, slots=True)
class Placed:
    """A stream whose snapshot is in a slab; its records are yet to be replayed."""

    stored: Stored
    model: Model
    slot: int


#: Takes a stream's id, and the stream or why it cannot be had.
Deliver = Callable[[str, HotStream | Exception], None]


class Loader:
    """From the store into slabs."""

    def __init__(self, store: StreamStore, room: EngineRoom) -> None:
        self._store = store
        self._room = room

    async def read(self, stream_ids: Sequence[str], deliver: Deliver) -> list[Stored]:
        """What the store has of these streams; those that it has not, or not whole, are delivered as problems."""
        found: list[Stored] = []
        for stream_id in stream_ids:
            raw = await self._store.read_meta(stream_id)
            if raw is None:
                deliver(stream_id, Problem("stream_not_found", "no stream has this id; create it with PUT first."))
                continue
            try:
                meta = msgspec.json.decode(raw, type=StreamMeta)
                snapshot = await self._store.read_snapshot(stream_id)
                entries = await self._store.read_log(stream_id, 0 if snapshot is None else snapshot.position)
            except (StoreCorrupt, SpecError, msgspec.MsgspecError) as error:
                deliver(stream_id, _unreadable(stream_id, error))
            else:
                found.append(Stored(stream_id, meta, snapshot, [entry.record for entry in entries]))
        return found

    async def load(self, streams: Sequence[Stored], deliver: Deliver) -> tuple[list[Stored], int]:
        """Load as many as there is room for, and deliver them.

        Returns
        -------
        The streams that there was no room for, and the bytes that they lack.
        """
        placed, failed, needed = await self._room.run(partial(self._place, streams))
        for stored, error in failed:
            deliver(stored.id, _explained(stored.id, error))
        for model_streams in _by_model(placed):
            await self._replay(model_streams, deliver)
        return list(streams[len(placed) + len(failed) :]), needed

    def _place(self, streams: Sequence[Stored]) -> tuple[list[Placed], list[tuple[Stored, Exception]], int]:
        """Bring snapshots into slabs until there is no room; with the streams that failed, and the bytes that lack."""
        placed: list[Placed] = []
        failed: list[tuple[Stored, Exception]] = []
        for number, stored in enumerate(streams):
            try:
                model = self._room.model(stored.meta.spec)
                row_bytes = model.engine.bytes_per_stream
                try:
                    slot = self._room.load(model, _row_of(stored, model))
                except BaseException:
                    self._room.release(model)
                    raise
            except RoomFull as error:
                return placed, failed, error.needed + (len(streams) - number - 1) * row_bytes
            except Exception as error:
                failed.append((stored, error))
            else:
                placed.append(Placed(stored, model, slot))
        return placed, failed, 0

    async def _replay(self, placed: Sequence[Placed], deliver: Deliver) -> None:
        """Bring streams of one model to where their logs end, all together."""
        model = placed[0].model
        todo = [(stream.slot, record) for stream in placed for record in stream.stored.records]
        try:
            for start in range(0, len(todo), MAX_REPLAY):
                await self._room.run(partial(_step, model, todo[start : start + MAX_REPLAY]))
            ready = await self._room.run(lambda: [_ledger_of(stream) for stream in placed])
        except BaseException as error:
            await self._room.run(partial(self._remove, placed))
            if not isinstance(error, Exception) or len(placed) == 1:
                raise
            # One of them is to blame, and need not be the others' misfortune.
            log.warning("replay_failed", streams=len(placed), error=repr(error))
            for stream in placed:
                await self._replay_alone(stream.stored, deliver)
            return
        for stream, ledger in zip(placed, ready, strict=True):
            deliver(stream.stored.id, _hot(stream, ledger))

    async def _replay_alone(self, stored: Stored, deliver: Deliver) -> None:
        try:
            left, needed = await self.load([stored], deliver)
            if left:
                raise RoomFull(needed)
        except Exception as error:
            deliver(stored.id, error)

    def _remove(self, placed: Iterable[Placed]) -> None:
        for stream in placed:
            stream.model.slab.free(stream.slot)
            self._room.release(stream.model)


def _by_model(placed: Iterable[Placed]) -> list[list[Placed]]:
    def digest(stream: Placed) -> str:
        return stream.model.spec.digest

    return [list(streams) for _, streams in groupby(sorted(placed, key=digest), key=digest)]


def _step(model: Model, todo: Sequence[tuple[int, Record]]) -> None:
    model.engine.step(model.slab, [slot for slot, _ in todo], [record for _, record in todo])


def _ledger_of(stream: Placed) -> Ledger:
    model = stream.model
    return Ledger(model.spec, RowArrays(model.engine.layout, model.slab.rows[stream.slot]))


def _hot(stream: Placed, ledger: Ledger) -> HotStream:
    stored, now = stream.stored, clock.now()
    snapshot_position = 0 if stored.snapshot is None else stored.snapshot.position
    return HotStream(
        id=stored.id,
        meta=stored.meta,
        model=stream.model,
        slot=stream.slot,
        ledger=ledger,
        position=snapshot_position + len(stored.records),
        snapshot_position=snapshot_position,
        snapshot_at=now,
        changed_at=now,
    )


def _row_of(stored: Stored, model: Model) -> ByteArray:
    if stored.snapshot is None:
        return model.engine.initial_row()
    state = StreamState.from_bytes(stored.snapshot.blob, model.engine.layout, model.spec)
    if state.numerics != model.numerics:
        # Replay goes on from here with other last bits than before: worth knowing, not worth refusing.
        log.warning("numerics_changed", stream_id=stored.id, then=state.numerics, now=model.numerics)
    return state.row


def _explained(stream_id: str, error: Exception) -> Exception:
    """What whoever waits for a stream is told."""
    if isinstance(error, StateFormatError | SpecError):
        return _unreadable(stream_id, error)
    if isinstance(error, EngineUnavailableError):
        log.error("stream_not_for_this_engine", stream_id=stream_id, error=str(error))
        return not_for_this_engine(error)
    return error


def _unreadable(stream_id: str, error: Exception) -> Problem:
    log.error("stream_unreadable", stream_id=stream_id, error=str(error))
    return Problem("internal", "the stored stream cannot be read; the server's log says why.")


__all__ = ["MAX_REPLAY", "Deliver", "Loader", "Stored"]
