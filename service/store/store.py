"""Streams in a store that speaks the Redis protocol: meta, log and snapshots of each.

Every write carries the fencing tokens of the shards that it touches, and every write can be repeated: a second
`append` of the same entries finds them there, a second `write_snapshots` writes the same bytes again.
"""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self, TypeVar, cast

import structlog

from service.store import health, scripts
from service.store.codec import (
    LogEntry,
    Snapshot,
    decode_entry,
    decode_snapshot,
    encode_snapshot,
    entry_position,
)
from service.store.connection import Connection, Reply, open_connection
from service.store.errors import BadCursor, Fenced, StoreCorrupt, StoreRefused
from service.store.health import StoreHealth
from service.store.keys import LAYOUT_VERSION, Keys, layout_key

log = structlog.get_logger(__name__)

#: ``already``: the same bytes are there · ``mismatch``: the log is elsewhere than the caller thinks · ``missing``: no
#: such stream.
AppendOutcome = Literal["appended", "already", "mismatch", "missing"]

#: Bytes of snapshots in one script call; a larger one would keep the server from its other callers for too long.
_MAX_CALL_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Append:
    """Entries for one stream's log."""

    stream_id: str
    #: Position of the first entry; the others follow it.
    first_position: int
    #: From `encode_entry`.
    entries: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class FencingToken:
    """Proof of owning a shard. The newest token of a shard is the only one whose writes go through."""

    shard: int
    epoch: int
    owner: str

    def __str__(self) -> str:
        # The name is part of it: should a store lose its last second and count an epoch twice, both tokens differ.
        return f"{self.epoch}:{self.owner}"


_Item = TypeVar("_Item", Append, Snapshot)
_Outcome = TypeVar("_Outcome")


class StreamStore:
    """The streams of one namespace; made by `connect`.

    All methods raise `StoreUnavailable` where the store does not answer in time; those that write also `Fenced` where
    another process has acquired the shard, and `StoreFull`.

    Parameters
    ----------
    names
        Gives a name that no other process has, whenever it is asked.
    """

    def __init__(self, connection: Connection, keys: Keys, names: Callable[[], str] = lambda: uuid.uuid4().hex) -> None:
        self._connection = connection
        self._keys = keys
        self._names = names
        self._tokens: dict[int, FencingToken] = {}
        #: Generation of the newest snapshot, of streams where that one could not be read.
        self._unreadable: dict[str, str] = {}

    @classmethod
    async def connect(
        cls, url: str, *, namespace: str = "liquid", num_shards: int = 64, timeout_s: float = 2.0
    ) -> Self:
        """Connect to the store, and lay it out if it is new.

        Parameters
        ----------
        url
            ``unix:///path``, ``redis://host:port/db`` or ``rediss://host:port/db``.
        namespace
            Begins every key, so that several services can share one store.
        num_shards
            For a new store. One that has streams keeps the number that it was laid out with.
        timeout_s
            Longest wait for a connection, and for an answer.

        Raises
        ------
        StoreUnavailable
            Nobody answers there.
        StoreRefused
            Password or rights are wrong, or a newer release has laid the store out.
        """
        connection = await open_connection(url, timeout_s=timeout_s)
        try:
            return cls(connection, await _lay_out(connection, namespace, num_shards))
        except BaseException:
            await connection.close()
            raise

    @property
    def num_shards(self) -> int:
        return self._keys.num_shards

    def shard_of(self, stream_id: str) -> int:
        return self._keys.shard_of(stream_id)

    async def self_check(self) -> StoreHealth:
        """Durability, server and warnings; raises `StoreRefused` for a store that would lose streams."""
        return await health.check(self._connection)

    async def ping(self) -> None:
        await self._connection.read("PING")

    async def close(self) -> None:
        await self._connection.close()

    # --- ownership ---------------------------------------------------------------------------------------------------

    async def acquire(self, shards: Iterable[int]) -> dict[int, FencingToken]:
        """Become the owner of these shards; writes of whoever was it before fail with `Fenced` from now on."""
        owner = self._names()
        wanted = sorted(set(shards))
        calls = [[shard] for shard in wanted] if self._connection.is_cluster else [wanted]

        async def take(some: list[int]) -> list[int]:
            keys = [key for shard in some for key in (self._keys.epoch(shard), self._keys.owner(shard))]
            epochs: list[int] = await self._connection.run(scripts.ACQUIRE, keys, [owner])
            return epochs

        epochs = await asyncio.gather(*(take(some) for some in calls if some))
        taken = [epoch for some in epochs for epoch in some]
        tokens = {
            shard: FencingToken(shard=shard, epoch=epoch, owner=owner)
            for shard, epoch in zip(wanted, taken, strict=True)
        }
        self._tokens.update(tokens)
        return tokens

    def epoch_of(self, stream_id: str) -> int:
        """Epoch under which this process writes the stream; raises `Fenced` where it has not acquired the shard."""
        return self._token(self._keys.shard_of(stream_id)).epoch

    def _token(self, shard: int) -> FencingToken:
        token = self._tokens.get(shard)
        if token is None:
            raise Fenced(shard)
        return token

    # --- streams -----------------------------------------------------------------------------------------------------

    async def create(self, stream_id: str, meta: bytes) -> bool:
        """Make a stream; False where there is one with this id already, which is left as it is."""
        shard = self._keys.shard_of(stream_id)
        reply = await self._run_fenced(
            scripts.CREATE, [shard], [self._keys.ids(shard), self._keys.meta(stream_id)], [stream_id, meta]
        )
        return bool(reply[0])

    async def read_meta(self, stream_id: str) -> bytes | None:
        """What `create` was given; `None` where there is no such stream."""
        meta: bytes | None = await self._connection.read("GET", self._keys.meta(stream_id))
        return meta

    async def read_metas(self, stream_ids: Sequence[str]) -> list[bytes | None]:
        """`read_meta` for many streams in one round trip."""
        metas: list[bytes | None] = await self._connection.read_many(
            [("GET", self._keys.meta(stream_id)) for stream_id in stream_ids]
        )
        return metas

    async def delete(self, stream_id: str) -> bool:
        """Remove a stream with its log and snapshots; False where there was none."""
        shard = self._keys.shard_of(stream_id)
        keys = [self._keys.ids(shard), *self._keys.of_stream(stream_id)]
        reply = await self._run_fenced(scripts.DELETE, [shard], keys, [stream_id])
        self._unreadable.pop(stream_id, None)
        return bool(reply[0])

    async def list_ids(self, cursor: str | None = None, limit: int = 100) -> tuple[list[str], str | None]:
        """One page of the ids: ordered by shard, then by id, so that what comes and goes moves no page.

        Parameters
        ----------
        cursor
            From the page before; `None` for the first.
        limit
            Most ids in the page, at least 1.

        Returns
        -------
        ids, cursor of the next page or `None` after the last.

        Raises
        ------
        BadCursor
            The cursor is not one of this listing's.
        """
        limit = max(1, limit)
        shard, after = (0, None) if cursor is None else _read_cursor(cursor, self.num_shards)
        counts = await self._connection.read_many(
            [("ZCARD", self._keys.ids(each)) for each in range(shard, self.num_shards)]
        )
        ids: list[str] = []
        for each, count in enumerate(counts, shard):
            if not count:
                continue
            start = f"({after}" if after is not None and each == shard else "-"
            # One more than there is room for: then it is known whether there is a next page.
            room = limit - len(ids) + 1
            found = await self._connection.read("ZRANGEBYLEX", self._keys.ids(each), start, "+", "LIMIT", 0, room)
            ids.extend(_text(stream_id) for stream_id in found)
            if len(ids) > limit:
                ids = ids[:limit]
                return ids, _write_cursor(self._keys.shard_of(ids[-1]), ids[-1])
        return ids, None

    async def count(self) -> int:
        """How many streams there are."""
        counts = await self._connection.read_many(
            [("ZCARD", self._keys.ids(shard)) for shard in range(self.num_shards)]
        )
        return sum(counts)

    # --- logs --------------------------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[Append]) -> list[AppendOutcome]:
        """Append a micro-batch to the logs of its streams, in one script call; a stream may occur once.

        After `StoreUnavailable` with an unknown outcome call it again with the same batch: what was appended is
        found, compared byte for byte, and not appended twice.

        Returns
        -------
        For each of `batch`: ``appended``, ``already``, ``mismatch`` or ``missing``. One does not hinder the others.

        Raises
        ------
        Fenced
            Another process owns one of the shards; nothing was appended, to no stream (on a Redis Cluster: to none of
            that shard).
        """
        if len({append.stream_id for append in batch}) != len(batch):
            raise ValueError("a stream may occur once in a micro-batch; put its entries into one Append")
        if any(not append.entries or append.first_position < 1 for append in batch):
            raise ValueError("an Append needs at least one entry, and positions count from 1")

        async def send(some: Sequence[Append]) -> list[AppendOutcome]:
            keys = [key for append in some for key in self._keys.of_stream(append.stream_id)]
            args: list[str | bytes | int] = []
            for append in some:
                args += [append.first_position, len(append.entries), *append.entries]
            outcomes = await self._run_fenced(scripts.APPEND, self._shards_of(some), keys, args)
            return [cast(AppendOutcome, _text(outcome)) for outcome in outcomes]

        return await self._by_slot(batch, send)

    async def read_log(self, stream_id: str, after_position: int = 0) -> list[LogEntry]:
        """The entries after a position, in order.

        Raises
        ------
        StoreCorrupt
            One of them fails its checksum, or some of them are not there.
        """
        return (await self.read_logs([(stream_id, after_position)]))[0]

    async def read_logs(self, wanted: Sequence[tuple[str, int]]) -> list[list[LogEntry]]:
        """`read_log` for many pairs of id and position in one round trip."""
        replies = await self._connection.read_many(
            [("LRANGE", self._keys.log(stream_id), 0, -1) for stream_id, _ in wanted]
        )
        return [_entries(reply, stream_id, after) for reply, (stream_id, after) in zip(replies, wanted, strict=True)]

    # --- snapshots ---------------------------------------------------------------------------------------------------

    async def write_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Store snapshots, and cut the logs before the one that each stream had before.

        A stream that was deleted meanwhile is passed over, and so is a snapshot older than the one that is there.

        Raises
        ------
        StoreCorrupt
            A snapshot is ahead of its log: one of the two was changed behind the service's back.
        """

        async def send(some: Sequence[Snapshot]) -> list[str]:
            keys = [key for snapshot in some for key in self._keys.of_stream(snapshot.stream_id)]
            args: list[str | bytes | int] = []
            for snapshot in some:
                unreadable = self._unreadable.get(snapshot.stream_id, "")
                args += [snapshot.position, encode_snapshot(snapshot), unreadable]
            outcomes = await self._run_fenced(scripts.SNAPSHOT, self._shards_of(some), keys, args)
            return [_text(outcome) for outcome in outcomes]

        for chunk in _chunks(snapshots):
            for snapshot, outcome in zip(chunk, await self._by_slot(chunk, send), strict=True):
                if outcome == "ahead":
                    raise StoreCorrupt(
                        f"a snapshot of stream {snapshot.stream_id!r} at position {snapshot.position} is ahead of its "
                        "log; the store was changed or restored behind the service's back: restart the service"
                    )
                self._unreadable.pop(snapshot.stream_id, None)

    async def read_snapshot(self, stream_id: str) -> Snapshot | None:
        """The newest snapshot that passes its checksum.

        `None` where there is none. Should snapshots be there and none be readable, it is `None` too, and `read_log`
        from position 0 tells whether the log still reaches back to the beginning.
        """
        return (await self.read_snapshots([stream_id]))[0]

    async def read_snapshots(self, stream_ids: Sequence[str]) -> list[Snapshot | None]:
        """`read_snapshot` for many streams in two round trips, seldom three."""
        newest = await self._connection.read_many(
            [("HGET", self._keys.snapshots(stream_id), "newest") for stream_id in stream_ids]
        )
        generations = {
            stream_id: _text(generation)
            for stream_id, generation in zip(stream_ids, newest, strict=True)
            if generation is not None
        }
        found = await self._read_generations(generations)
        lost = {stream_id: generation for stream_id, generation in generations.items() if stream_id not in found}
        if lost:
            log.error("snapshots_unreadable", stream_ids=sorted(lost), falling_back_to="the ones before them")
            self._unreadable.update(lost)
            older = {stream_id: "b" if generation == "a" else "a" for stream_id, generation in lost.items()}
            found |= await self._read_generations(older)
        return [found.get(stream_id) for stream_id in stream_ids]

    async def _read_generations(self, generations: dict[str, str]) -> dict[str, Snapshot]:
        """Those of the snapshots that are there and pass their checksum."""
        replies = await self._connection.read_many(
            [("HGET", self._keys.snapshots(stream_id), generation) for stream_id, generation in generations.items()]
        )
        found: dict[str, Snapshot] = {}
        for stream_id, data in zip(generations, replies, strict=True):
            if data is None:
                continue
            try:
                found[stream_id] = decode_snapshot(stream_id, data)
            except StoreCorrupt as error:
                log.warning("snapshot_corrupt", stream_id=stream_id, error=str(error))
        return found

    # --- script calls ------------------------------------------------------------------------------------------------

    def _shards_of(self, items: Iterable[Append | Snapshot]) -> list[int]:
        return sorted({self._keys.shard_of(item.stream_id) for item in items})

    async def _run_fenced(
        self, script: scripts.Script, shards: Sequence[int], keys: Sequence[str], args: Sequence[str | bytes | int]
    ) -> Reply:
        """Run a script that begins with `fence.lua`."""
        tokens = [str(self._token(shard)) for shard in shards]
        owners = [self._keys.owner(shard) for shard in shards]
        reply = await self._connection.run(script, [*owners, *keys], [len(shards), *tokens, *args])
        if reply and reply[0] == b"fenced":
            raise Fenced(shards[reply[1] - 1])
        return reply

    async def _by_slot(
        self, items: Sequence[_Item], send: Callable[[Sequence[_Item]], Awaitable[list[_Outcome]]]
    ) -> list[_Outcome]:
        """All items in one call, or, as a cluster wants it, in one call a shard; outcomes in the order of `items`."""
        if not items:
            return []
        if not self._connection.is_cluster:
            return await send(items)
        by_shard: dict[int, list[int]] = {}
        for index, item in enumerate(items):
            by_shard.setdefault(self._keys.shard_of(item.stream_id), []).append(index)
        results = await asyncio.gather(*(send([items[index] for index in group]) for group in by_shard.values()))
        placed = {
            index: outcome
            for group, outcomes in zip(by_shard.values(), results, strict=True)
            for index, outcome in zip(group, outcomes, strict=True)
        }
        return [placed[index] for index in range(len(items))]


async def _lay_out(connection: Connection, namespace: str, num_shards: int) -> Keys:
    """The store's layout: set where there is none yet, and read in any case, because the first start decides."""
    if not 1 <= num_shards <= 1000:
        raise ValueError("num_shards must be between 1 and 1000")
    key = layout_key(namespace)
    stored = await connection.read("HMGET", key, "version", "num_shards")
    if None in stored:
        await connection.write("HSETNX", key, "num_shards", num_shards)
        await connection.write("HSETNX", key, "version", LAYOUT_VERSION)
        stored = await connection.read("HMGET", key, "version", "num_shards")
    version, num_shards = int(stored[0]), int(stored[1])
    if version != LAYOUT_VERSION:
        raise StoreRefused(
            f"the store is laid out in version {version}, this release knows {LAYOUT_VERSION}; use a newer release"
        )
    return Keys(namespace=namespace, num_shards=num_shards)


def _entries(reply: Sequence[bytes], stream_id: str, after: int) -> list[LogEntry]:
    """Decode what comes after a position; the log also holds what only the older snapshot needs."""
    try:
        entries = [decode_entry(data) for data in reply if entry_position(data) > after]
    except StoreCorrupt as error:
        raise StoreCorrupt(f"log of stream {stream_id!r}: {error}") from error
    for expected, entry in enumerate(entries, after + 1):
        if entry.position != expected:
            raise StoreCorrupt(
                f"log of stream {stream_id!r}: record {expected} is not there, {entry.position} comes instead; "
                "restore the store from its backup, or delete the stream"
            )
    return entries


def _chunks(snapshots: Sequence[Snapshot]) -> Iterator[list[Snapshot]]:
    """Snapshots of at most a megabyte together, or single larger ones."""
    chunk: list[Snapshot] = []
    size = 0
    for snapshot in snapshots:
        if chunk and size + len(snapshot.blob) > _MAX_CALL_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(snapshot)
        size += len(snapshot.blob)
    if chunk:
        yield chunk


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


def _text(value: bytes) -> str:
    return value.decode()


__all__ = ["Append", "AppendOutcome", "FencingToken", "StreamStore"]
