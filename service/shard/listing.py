"""Listing: what a page of streams shows, without bringing any of them into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import structlog

from liquid_core.errors import SpecError
from service.messages import ColdStream, StreamInfo
from service.shard.models import EngineRoom
from service.shard.streams import HotStream, StreamForgotten, StreamMeta, StreamTable
from service.store import StreamStore

log = structlog.get_logger(__name__)


class Listing:
    """Descriptions of many streams: in full of those in memory, of the others what their meta says."""

    def __init__(
        self, store: StreamStore, room: EngineRoom, table: StreamTable, describe: Callable[[HotStream], StreamInfo]
    ) -> None:
        self._store = store
        self._room = room
        self._table = table
        self._describe = describe

    async def entries(self, stream_ids: Sequence[str]) -> list[StreamInfo | ColdStream]:
        """In the order of `stream_ids`; without those that are not there any more, or cannot be read."""
        hot = [stream for stream_id in stream_ids if (stream := self._table.peek(stream_id)) is not None]
        found: dict[str, StreamInfo | ColdStream] = {info.id: info for info in await self._hot(hot)}
        found |= {entry.id: entry for entry in await self._cold([each for each in stream_ids if each not in found])}
        return [found[stream_id] for stream_id in stream_ids if stream_id in found]

    async def _hot(self, streams: Sequence[HotStream]) -> list[StreamInfo]:
        def look() -> list[StreamInfo]:
            infos: list[StreamInfo] = []
            for stream in streams:
                with suppress(StreamForgotten):  # it is cold by now
                    infos.append(self._describe(stream))
            return infos

        return await self._room.run(look) if streams else []

    async def _cold(self, stream_ids: Sequence[str]) -> list[ColdStream]:
        if not stream_ids:
            return []
        entries: list[ColdStream] = []
        for stream_id, raw in zip(stream_ids, await self._store.read_metas(stream_ids), strict=True):
            if raw is None:
                continue
            try:
                meta = StreamMeta.from_json(raw)
            except (msgspec.MsgspecError, SpecError) as error:
                log.error("stream_unreadable", stream_id=stream_id, error=str(error))
            else:
                entries.append(ColdStream(id=stream_id, spec=meta.spec, created_at=meta.created_at))
        return entries


__all__ = ["Listing"]
