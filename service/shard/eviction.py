"""Eviction: which streams leave memory when there is no room for one that is touched.

Those that were untouched the longest. Never one with records under way, nor one that may be ahead of the store, whose
memory is then the only place where those records are. Streams that changed within the last seconds stay as long as any
others can go: a store that syncs once a second may lose them, and memory could give them back.
"""

from __future__ import annotations

import asyncio

import structlog

from service import clock
from service.metrics import Metrics
from service.problems import Problem
from service.shard.snapshots import Snapshotter, is_long
from service.shard.streams import HotStream, StreamTable
from service.store import StoreError

log = structlog.get_logger(__name__)

#: A stream changed within this time is fresh.
FRESH_S = 3.0
#: Streams that leave at once, if so many can: the next ones that come find room.
TOGETHER = 8
#: How long whoever needs room waits for a stream to become free to go.
PATIENCE_S = 2.0
_PAUSE_S = 0.01


class Eviction:
    """Makes room for streams that are touched, at the cost of those that are not."""

    def __init__(self, table: StreamTable, snapshotter: Snapshotter, metrics: Metrics) -> None:
        self._table = table
        self._snapshotter = snapshotter
        self._metrics = metrics
        #: One at a time: two would choose the same streams.
        self._choosing = asyncio.Lock()

    async def make_room(self, needed: int) -> None:
        """Let streams go that take `needed` bytes together, or as many of them as may go now, but at least one.

        Raises
        ------
        Problem
            ``overloaded``: none could go for a while, all are in use.
        StoreError
            None could go, because the store does not take their snapshots.
        """
        async with self._choosing:
            patient_until = clock.now() + PATIENCE_S
            while not await self._evict(needed):
                if clock.now() > patient_until:
                    raise Problem(
                        "overloaded",
                        "all streams that fit into the server's memory are in use; send again, or give it more "
                        "(LIQUID_MEMORY).",
                        retry_after_s=1.0,
                    )
                await asyncio.sleep(_PAUSE_S)

    async def _evict(self, needed: int) -> bool:
        """Whether any stream has left."""
        chosen = self._choose(needed)
        try:
            due = [stream for stream in chosen if is_long(stream.replay_length) or stream.has_new_spec]
            await self._snapshotter.write(due)
        except StoreError as error:
            # Those whose replay is short can go without.
            chosen = self._choose(needed, only_short=True)
            if not chosen:
                raise
            log.warning("eviction_hindered", error=str(error))
        # Since they were chosen, records may have come for some.
        going = [stream for stream in chosen if _may_go(stream) and not is_long(stream.replay_length)]
        fresh = sum(self._is_fresh(stream) for stream in going)
        await self._table.evict(going)
        self._metrics.evictions.labels(reason="memory_fresh").inc(fresh)
        self._metrics.evictions.labels(reason="memory").inc(len(going) - fresh)
        log.debug("streams_evicted", streams=len(going), fresh=fresh)
        return bool(going)

    def _choose(self, needed: int, *, only_short: bool = False) -> list[HotStream]:
        """Streams that take `needed` bytes together, and a few more: the longest untouched first, fresh ones last."""
        chosen: list[HotStream] = []
        fresh: list[HotStream] = []
        num_bytes = 0
        for stream in self._table.longest_untouched_first():
            if num_bytes >= needed and len(chosen) >= min(TOGETHER, len(self._table) // 4):
                return chosen
            if not _may_go(stream) or (only_short and is_long(stream.replay_length)):
                continue
            if self._is_fresh(stream):
                fresh.append(stream)
                continue
            chosen.append(stream)
            num_bytes += stream.model.engine.bytes_per_stream
        for stream in fresh:
            if num_bytes >= needed:
                break
            chosen.append(stream)
            num_bytes += stream.model.engine.bytes_per_stream
        return chosen

    def _is_fresh(self, stream: HotStream) -> bool:
        return stream.changed_at > clock.now() - FRESH_S


def _may_go(stream: HotStream) -> bool:
    return not stream.under_way and not stream.abandoned and not stream.doubtful


__all__ = ["Eviction"]
