"""The ids of all streams, page by page: ordered by shard, then by id, so that what comes and goes moves no page."""

from __future__ import annotations

import base64

from service.store.connection import Connection
from service.store.errors import BadCursor
from service.store.keys import Keys


class Listing:
    """See `StreamStore.list_ids` and `StreamStore.count`."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    async def page(self, cursor: str | None, limit: int) -> tuple[list[str], str | None]:
        """Ids, and the cursor of the next page."""
        limit = max(1, limit)
        shard, after = (0, None) if cursor is None else _read_cursor(cursor, self._keys.num_shards)
        ids: list[str] = []
        for each, count in enumerate(await self._counts(shard), shard):
            if not count:
                continue
            start = f"({after}" if after is not None and each == shard else "-"
            # One more than there is room for: then it is known whether there is a next page.
            room = limit - len(ids) + 1
            found = await self._connection.read("ZRANGEBYLEX", self._keys.ids(each), start, "+", "LIMIT", 0, room)
            ids.extend(stream_id.decode() for stream_id in found)
            if len(ids) > limit:
                ids = ids[:limit]
                return ids, _write_cursor(self._keys.shard_of(ids[-1]), ids[-1])
        return ids, None

    async def count(self) -> int:
        """How many streams there are."""
        return sum(await self._counts(0))

    async def _counts(self, first_shard: int) -> list[int]:
        shards = range(first_shard, self._keys.num_shards)
        return await self._connection.read_many([("ZCARD", self._keys.ids(shard)) for shard in shards])


def _write_cursor(shard: int, stream_id: str) -> str:
    return base64.urlsafe_b64encode(f"{shard}:{stream_id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str, num_shards: int) -> tuple[int, str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        shard, _, stream_id = text.partition(":")
        if stream_id and 0 <= int(shard) < num_shards:
            return int(shard), stream_id
    except ValueError:
        pass
    raise BadCursor("this cursor is not one that a listing gave out; start again without a cursor")


__all__ = ["Listing"]
