"""Warm-up: after a start streams come into memory before anybody asks, so that their next sample need not wait.

Only as far as there is room, with some left over: whoever is touched meanwhile comes first, and pushes nobody out.
"""

from __future__ import annotations

import structlog

from service import clock
from service.problems import Problem
from service.shard.hydration import MAX_IDLE_TOGETHER
from service.shard.models import EngineRoom
from service.shard.streams import StreamTable
from service.store import StoreError, StreamStore

log = structlog.get_logger(__name__)

PAGE = 256
#: Of the memory that streams may take, what a warm-up fills.
SHARE = 0.75


class WarmUp:
    """Goes through the streams of the store once."""

    def __init__(self, store: StreamStore, room: EngineRoom, table: StreamTable) -> None:
        self._store = store
        self._room = room
        self._table = table

    async def run(self) -> None:
        """Bring streams in until there are no more, or there is no more room."""
        started = clock.now()
        try:
            whole = await self._go_through()
        except (Problem, StoreError) as error:
            log.warning("warm_up_stopped", error=str(error))
        else:
            log.info("warmed_up", streams=len(self._table), all=whole, seconds=round(clock.now() - started, 1))

    async def _go_through(self) -> bool:
        """Whether there was room for all."""
        cursor: str | None = None
        while True:
            ids, cursor = await self._store.list_ids(cursor, PAGE)
            if not await self._warm(ids):
                return False
            if cursor is None:
                return True

    async def _warm(self, ids: list[str]) -> bool:
        """Whether there is room for more."""
        for start in range(0, len(ids), MAX_IDLE_TOGETHER):
            if self._room.memory is not None and self._room.num_bytes > SHARE * self._room.memory:
                return False
            if not await self._table.warm(ids[start : start + MAX_IDLE_TOGETHER]):
                return False
        return True


__all__ = ["SHARE", "WarmUp"]
