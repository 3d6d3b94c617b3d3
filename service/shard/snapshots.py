"""Snapshots: how long a replay after a crash may get is decided here."""

from __future__ import annotations

import asyncio
import zlib
from contextlib import suppress

import msgspec
import structlog

from liquid_core.engine.layout import RowArrays
from service import clock
from service.metrics import Metrics
from service.shard.models import EngineRoom
from service.shard.streams import HotStream, StreamForgotten, StreamMeta
from service.store import Fenced, Snapshot, StoreError, StreamStore

log = structlog.get_logger(__name__)

#: A replay of up to so many records costs less than to write and read a snapshot, and is left to whoever needs it.
SHORT_REPLAY = 8
#: Snapshots in one call to the store: bounds the size of a script's arguments.
MAX_PER_CALL = 32


def is_long(replay_length: int) -> bool:
    """Whether a snapshot is worth writing before a stream leaves memory or is left idle."""
    return replay_length > SHORT_REPLAY


class Snapshotter:
    """Writes the state of streams whose log has grown long.

    Parameters
    ----------
    every
        Records after which a stream is due. The first snapshot of a stream comes earlier, by an amount drawn from its
        id, so that streams that tick together do not all fall due together.
    """

    def __init__(self, store: StreamStore, room: EngineRoom, metrics: Metrics, *, every: int) -> None:
        self._store = store
        self._room = room
        self._metrics = metrics
        self._every = every
        #: Held while snapshots are read and written. A stream that is deleted and made anew in between would get the
        #: old one's state, so whoever deletes waits for it.
        self.writing = asyncio.Lock()

    async def write_due(self, streams: list[HotStream]) -> None:
        """Write those of `streams` that are due."""
        await self.write([stream for stream in streams if self._is_due(stream)])

    async def write_full(self, streams: list[HotStream]) -> list[HotStream]:
        """Write those of `streams` whose log has no room for another record, because a snapshot has failed before.

        Returns
        -------
        Those for which it failed again.

        Raises
        ------
        Fenced
            Another owner has taken the shards.
        """
        full = [stream for stream in streams if stream.replay_length >= self._every]
        if full:
            try:
                await self.write(full)
            except Fenced:
                raise
            except StoreError as error:
                log.warning("snapshot_failed", error=str(error))
        return [stream for stream in full if stream.replay_length >= self._every]

    async def write(self, streams: list[HotStream]) -> None:
        """Write all of `streams` that have anything new."""
        streams = [stream for stream in streams if stream.replay_length > 0 and not stream.abandoned]
        for start in range(0, len(streams), MAX_PER_CALL):
            async with self.writing:
                await self._write_some(streams[start : start + MAX_PER_CALL])

    async def _write_some(self, streams: list[HotStream]) -> None:
        started = clock.now()

        def read() -> list[tuple[HotStream, Snapshot]]:
            found: list[tuple[HotStream, Snapshot]] = []
            for stream in streams:
                with suppress(StreamForgotten):  # since it was chosen
                    found.append((stream, snapshot_of(stream)))
            return found

        snapshots = await self._room.run(read)
        outcomes = await self._store.write_snapshots([snapshot for _, snapshot in snapshots])
        for (stream, snapshot), outcome in zip(snapshots, outcomes, strict=True):
            if outcome in ("ahead", "missing"):
                log.error(f"snapshot_{outcome}", stream_id=stream.id, position=snapshot.position)
                stream.doubtful = True
                continue
            if outcome == "written" and snapshot.meta:
                stream.meta = StreamMeta.from_json(snapshot.meta)
            stream.snapshot_position = snapshot.position
            stream.snapshot_at = clock.now()
            self._metrics.snapshot_bytes.observe(len(snapshot.blob))
        self._metrics.snapshots.inc(outcomes.count("written"))
        self._metrics.snapshot_duration_seconds.observe(clock.now() - started)

    def _is_due(self, stream: HotStream) -> bool:
        every = self._every
        if stream.snapshot_position == 0:
            every -= zlib.crc32(stream.id.encode()) % max(1, self._every // 2)
        return stream.replay_length >= every


def snapshot_of(stream: HotStream) -> Snapshot:
    """The stream's state as it is now; to be called in the engine's thread."""
    state = stream.state()
    layout = stream.model.engine.layout
    applied = int(RowArrays(layout, state.row)["stream.records"])
    return Snapshot(
        stream_id=stream.id,
        incarnation=stream.incarnation,
        position=applied,
        blob=state.to_bytes(layout),
        meta=msgspec.json.encode(stream.new_meta) if stream.has_new_spec else b"",
    )


__all__ = ["MAX_PER_CALL", "SHORT_REPLAY", "Snapshotter", "is_long", "snapshot_of"]
