"""Healing: a store that came back with less than it had acknowledged gets it again from memory.

The streams in memory are the fold of everything that was acknowledged, so as long as this process lives nothing is
lost: where a stream's log ends before its memory does, the whole state is written as a snapshot at its position, and
the log goes on from there. Where the log has *more* than memory (an append whose answer was lost arrived after all),
memory catches up with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import msgspec
import structlog

from service import clock
from service.metrics import Metrics
from service.shard.models import EngineRoom
from service.shard.snapshots import MAX_PER_CALL, Snapshotter, snapshot_of
from service.shard.streams import HotStream, StreamForgotten, StreamTable, advance
from service.store import LogEntry, Mend, StoreCorrupt, StoredStream, StoreError, StreamStore, Tail

log = structlog.get_logger(__name__)

#: Streams whose logs are looked at in one call.
MAX_TAILS = 1024


class Healer:
    """Brings streams in memory and the store to agree."""

    def __init__(
        self, store: StreamStore, room: EngineRoom, table: StreamTable, snapshotter: Snapshotter, metrics: Metrics
    ) -> None:
        self._store = store
        self._room = room
        self._table = table
        self._snapshotter = snapshotter
        self._metrics = metrics

    async def reconcile(self, streams: Sequence[HotStream]) -> None:
        """Compare with the store, and mend what is short there; to be called while no micro-batch is on its way.

        Afterwards each of `streams` is in doubt no more, or abandoned and on its way back.

        Raises
        ------
        StoreError
            The store does not let it; the streams that it did not come to stay in doubt.
        """
        for start in range(0, len(streams), MAX_TAILS):
            some = [stream for stream in streams[start : start + MAX_TAILS] if not stream.abandoned]
            tails = await self._tails(some)
            short: list[tuple[HotStream, int]] = []
            for stream, tail in tails:
                if _is_elsewhere(stream, tail):
                    await self._catch_up(stream)
                elif tail is None or tail.position < stream.position:
                    short.append((stream, 0 if tail is None else tail.position))
                else:
                    stream.doubtful = False
            for first in range(0, len(short), MAX_PER_CALL):
                await self._mend(short[first : first + MAX_PER_CALL])

    async def _catch_up(self, stream: HotStream) -> None:
        """Apply what the log has beyond memory; a stream that is another one by now is read anew."""
        log.warning("log_is_ahead", stream_id=stream.id, memory=stream.position)
        [stored] = await self._store.read_streams([stream.id])
        beyond = _entries_beyond(stream, stored)
        try:
            await self._room.run(partial(advance, self._room, stream, [entry.record for entry in beyond]))
        except Exception:
            log.exception("catching_up_failed", stream_id=stream.id)
            beyond = []
        if not beyond:
            await self._table.read_anew(stream)
            return
        stream.position = beyond[-1].position
        stream.doubtful = False

    async def _tails(self, streams: Sequence[HotStream]) -> list[tuple[HotStream, Tail | None]]:
        """Where the streams' logs end; a stream that the store cannot tell of is abandoned, and the others go on."""
        try:
            return list(zip(streams, await self._store.tails([stream.id for stream in streams]), strict=True))
        except StoreError as error:
            if type(error) is not StoreError:  # it is about all of them
                raise
            if len(streams) == 1:
                log.error("log_unreadable", stream_id=streams[0].id, error=str(error))
                await self._table.abandon(streams[0])
                return []
            half = len(streams) // 2
            return [*await self._tails(streams[:half]), *await self._tails(streams[half:])]

    async def _mend(self, short: Sequence[tuple[HotStream, int]]) -> None:
        def read() -> list[tuple[HotStream, int, Mend]]:
            found: list[tuple[HotStream, int, Mend]] = []
            for stream, tail in short:
                with suppress(StreamForgotten):
                    found.append((stream, tail, _mend_of(stream)))
            return found

        async with self._snapshotter.writing:
            found = await self._room.run(read)
            outcomes = await self._store.mend([mend for _, _, mend in found])
        for (stream, tail, mend), outcome in zip(found, outcomes, strict=True):
            if outcome != "mended":
                # It got more, or became another stream, in the moment between.
                await self._table.read_anew(stream)
                continue
            log.warning("log_mended", stream_id=stream.id, store=tail, memory=mend.position)
            self._metrics.store_mended_streams.inc()
            self._metrics.store_mended_records.inc(mend.position - tail)
            stream.snapshot_position, stream.snapshot_at = mend.position, clock.now()
            stream.doubtful = False


def _entries_beyond(stream: HotStream, stored: StoredStream | StoreCorrupt | None) -> list[LogEntry]:
    """What the log has after the last record in memory; nothing where the two do not fit together."""
    if not isinstance(stored, StoredStream) or stored.incarnation != stream.incarnation:
        return []
    beyond = [entry for entry in stored.entries if entry.position > stream.position]
    return beyond if beyond and beyond[0].position == stream.position + 1 else []


def _is_elsewhere(stream: HotStream, tail: Tail | None) -> bool:
    """Whether the store has more of the stream than memory has, or another stream of that name."""
    return tail is not None and (tail.incarnation != stream.incarnation or tail.position > stream.position)


def _mend_of(stream: HotStream) -> Mend:
    snapshot = snapshot_of(stream)
    return Mend(
        stream_id=stream.id,
        incarnation=stream.incarnation,
        meta=msgspec.json.encode(stream.new_meta),
        position=snapshot.position,
        blob=snapshot.blob,
        last_entry=None,
    )


__all__ = ["Healer"]
