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
from liquid_core.engine.records import Observation, is_observation
from liquid_core.errors import EngineUnavailableError, SpecError, StateFormatError, StateVersionError
from liquid_core.spec import ModelSpec
from liquid_core.state import StreamState, read_header, spec_of
from liquid_core.types import ByteArray
from service import clock
from service.problems import Problem
from service.shard.models import EngineRoom, Model, RoomFull
from service.shard.streams import HotStream, StreamMeta, not_for_this_engine
from service.store import StoreCorrupt, StoredStream, StreamStore

log = structlog.get_logger(__name__)

#: Records that are replayed in one call of the engine.
MAX_REPLAY = 256


@dataclass(frozen=True, slots=True)
class Readable:
    """A stream as it was read."""

    stored: StoredStream
    meta: StreamMeta

    @property
    def id(self) -> str:
        return self.stored.stream_id


@dataclass(frozen=True, slots=True)
class Placed:
    """A stream whose snapshot is in a slab; its records are yet to be replayed."""

    stream: Readable
    model: Model
    slot: int
    #: Observations, for controls are behind it.
    records: Sequence[Observation]


#: Takes a stream's id, and the stream or why it cannot be had.
Deliver = Callable[[str, HotStream | Exception], None]


class Loader:
    """From the store into slabs."""

    def __init__(self, store: StreamStore, room: EngineRoom) -> None:
        self._store = store
        self._room = room

    async def read(self, stream_ids: Sequence[str], deliver: Deliver) -> list[Readable]:
        """What the store has of these streams; those that it has not, or not whole, are delivered as problems."""
        found: list[Readable] = []
        for stream_id, stored in zip(stream_ids, await self._store.read_streams(stream_ids), strict=True):
            if stored is None:
                deliver(stream_id, Problem("stream_not_found", "no stream has this id; create it with PUT first."))
                continue
            try:
                if isinstance(stored, StoreCorrupt):
                    raise stored
                found.append(Readable(stored, StreamMeta.from_json(stored.meta)))
            except (StoreCorrupt, SpecError, msgspec.MsgspecError) as error:
                deliver(stream_id, _unreadable(stream_id, error))
        return found

    async def load(self, streams: Sequence[Readable], deliver: Deliver) -> tuple[list[Readable], int]:
        """Load as many as there is room for, and deliver them.

        Returns
        -------
        The streams that there was no room for, and the bytes that they lack.
        """
        await self._room.prepare(stream.meta.spec for stream in streams)
        placed, failed, needed = await self._room.run(partial(self._place, streams))
        for stream, error in failed:
            deliver(stream.id, _explained(stream.id, error))
        for of_model in _by_model(placed):
            await self._replay(of_model, deliver)
        return list(streams[len(placed) + len(failed) :]), needed

    def _place(self, streams: Sequence[Readable]) -> tuple[list[Placed], list[tuple[Readable, Exception]], int]:
        """Bring snapshots into slabs until there is no room; with the streams that failed, and the bytes that lack."""
        placed: list[Placed] = []
        failed: list[tuple[Readable, Exception]] = []
        for stream in streams:
            try:
                model = self._room.model(_first_spec(stream))
                try:
                    model, row, records = self._past_controls(stream, model)
                    slot = self._room.load(model, row)
                except BaseException:
                    self._room.release(model)
                    raise
            except RoomFull as error:
                left = len(streams) - len(placed) - len(failed)
                return placed, failed, error.needed + (left - 1) * model.engine.bytes_per_stream
            except Exception as error:
                failed.append((stream, error))
            else:
                placed.append(Placed(stream, model, slot, records))
        return placed, failed, 0

    def _past_controls(self, stream: Readable, model: Model) -> tuple[Model, ByteArray, Sequence[Observation]]:
        """Model and row of a stream behind the last control after its snapshot, and what is to be replayed from there.

        Controls are rare: a stream that has one is brought past it by itself, and then replayed beside the others.
        """
        row = _row_of(stream, model)
        records = [entry.record for entry in stream.stored.entries]
        behind = next((at for at in range(len(records), 0, -1) if not is_observation(records[at - 1])), 0)
        if behind > 0:
            model, row = self._room.fold(model, row, records[:behind])
        return model, row, [record for record in records[behind:] if is_observation(record)]

    async def _replay(self, placed: Sequence[Placed], deliver: Deliver) -> None:
        """Bring streams of one model to where their logs end, all together."""
        model = placed[0].model
        todo = [(each.slot, record) for each in placed for record in each.records]
        try:
            for start in range(0, len(todo), MAX_REPLAY):
                await self._room.run(partial(_step, model, todo[start : start + MAX_REPLAY]))
            ledgers = await self._room.run(lambda: [_ledger_of(each) for each in placed])
        except BaseException as error:
            await self._room.run(partial(self._remove, placed))
            if not isinstance(error, Exception):
                raise
            await self._replay_alone(placed, error, deliver)
        else:
            for each, ledger in zip(placed, ledgers, strict=True):
                deliver(each.stream.id, _hot(each, ledger))

    async def _replay_alone(self, placed: Sequence[Placed], error: Exception, deliver: Deliver) -> None:
        """One of these streams is to blame, and it need not be the others' misfortune."""
        if len(placed) == 1:
            deliver(placed[0].stream.id, error)
            return
        log.warning("replay_failed", streams=len(placed), error=repr(error))
        for each in placed:
            left, needed = await self.load([each.stream], deliver)
            if left:
                deliver(each.stream.id, RoomFull(needed))

    def _remove(self, placed: Iterable[Placed]) -> None:
        for each in placed:
            self._room.free(each.model, each.slot)


def _by_model(placed: Iterable[Placed]) -> list[list[Placed]]:
    def digest(stream: Placed) -> str:
        return stream.model.spec.digest

    return [list(streams) for _, streams in groupby(sorted(placed, key=digest), key=digest)]


def _step(model: Model, todo: Sequence[tuple[int, Observation]]) -> None:
    model.engine.step(model.slab, [slot for slot, _ in todo], [record for _, record in todo])


def _ledger_of(stream: Placed) -> Ledger:
    model = stream.model
    return Ledger(model.spec, RowArrays(model.engine.layout, model.slab.rows[stream.slot]))


def _hot(placed: Placed, ledger: Ledger) -> HotStream:
    stored, now = placed.stream.stored, clock.now()
    snapshot_position = 0 if stored.snapshot is None else stored.snapshot.position
    return HotStream(
        id=stored.stream_id,
        incarnation=stored.incarnation,
        meta=placed.stream.meta,
        model=placed.model,
        slot=placed.slot,
        ledger=ledger,
        position=snapshot_position + len(stored.entries),
        snapshot_position=snapshot_position,
        snapshot_at=now,
        changed_at=now,
    )


def _first_spec(stream: Readable) -> ModelSpec:
    """Of its snapshot, or the one that it was created with: records may have changed it since."""
    snapshot, created = stream.stored.snapshot, stream.meta.spec
    if snapshot is None or read_header(snapshot.blob)["digest"] == created.digest:
        return created
    return spec_of(snapshot.blob)


def _row_of(stream: Readable, model: Model) -> ByteArray:
    snapshot = stream.stored.snapshot
    if snapshot is None:
        return model.engine.initial_row()
    state = StreamState.from_bytes(snapshot.blob, model.engine.layout, model.spec)
    if state.numerics != model.numerics:
        # Replay goes on from here with other last bits than before: worth knowing, not worth refusing.
        log.warning("numerics_changed", stream_id=stream.id, then=state.numerics, now=model.numerics)
    return state.row


def _explained(stream_id: str, error: Exception) -> Exception:
    """What whoever waits for a stream is told."""
    if isinstance(error, StateVersionError):
        log.error("stream_outdated", stream_id=stream_id, error=str(error))
        return _outdated()
    if isinstance(error, StateFormatError | SpecError):
        return _unreadable(stream_id, error)
    if isinstance(error, EngineUnavailableError):
        log.error("stream_not_for_this_engine", stream_id=stream_id, error=str(error))
        return not_for_this_engine(error)
    return error


def _outdated() -> Problem:
    return Problem(
        "stream_outdated",
        "another release of Liquidstream has written this stream, and streams have changed since; "
        "serve it with that release, or delete the stream and create it anew.",
    )


def _unreadable(stream_id: str, error: Exception) -> Problem:
    log.error("stream_unreadable", stream_id=stream_id, error=str(error))
    return Problem("internal", "the stored stream cannot be read; the server's log says why.")


__all__ = ["MAX_REPLAY", "Deliver", "Loader", "Readable"]
