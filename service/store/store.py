"""Streams in a store that speaks the Redis protocol: meta, log and snapshots of each.

Every call carries the fencing tokens of the shards that it touches and the incarnations of the streams that it means,
and every write can be repeated: a second `append` of the same entries finds them there, a second `write_snapshots`
writes the same bytes again.
"""

from __future__ import annotations

import asyncio
import struct
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, Self, TypeVar, cast, get_args

import structlog

from service.store import health, scripts
from service.store.calls import (
    Append,
    Appended,
    AppendOutcome,
    Mend,
    MendOutcome,
    SnapshotOutcome,
    StoredStream,
    Tail,
)
from service.store.codec import Snapshot, encode_snapshot, entry_position
from service.store.connection import Connection, open_connection
from service.store.errors import StoreCorrupt
from service.store.health import StoreHealth
from service.store.layout import Layout, lay_out_again, read_or_lay_out
from service.store.listing import Listing
from service.store.owner import own_name
from service.store.ownership import FencingToken, Ownership
from service.store.pins import Pins
from service.store.reading import Reading

log = structlog.get_logger(__name__)

# What goes into one script call. A larger one would keep the server from its other callers for too long.
_MAX_CALL_BYTES = 2**20
_MAX_READ = 16
_MAX_TAILS = 4096

_APPEND_OUTCOMES: dict[bytes, AppendOutcome] = {outcome.encode(): outcome for outcome in get_args(AppendOutcome)}

_Item = TypeVar("_Item")
_Sized = TypeVar("_Sized", Snapshot, Mend)
_Argument = str | bytes | int


class StreamStore:
    """The streams of one namespace; made by `connect`.

    All methods raise `StoreUnavailable` where the store does not answer in time. Those that touch streams also raise
    `Fenced` where another owner has acquired a shard of theirs, and `StoreRewound` where the store has forgotten that
    we did; those that write, `StoreFull`.

    Parameters
    ----------
    names
        Gives a name that nobody else has, whenever it is asked: for this owner, for incarnations, for a new store.
        Without it owners are named so that others on this machine can tell whether they are gone.
    """

    def __init__(self, connection: Connection, layout: Layout, names: Callable[[], str] | None = None) -> None:
        self._connection = connection
        self._layout = layout
        self._keys = layout.keys
        self._names = names or _random_name
        self._ownership = Ownership(connection, layout.keys, (names or own_name)())
        self._listing = Listing(connection, layout.keys)
        #: States that streams can go back to.
        self.pins = Pins(layout.keys, self._ownership)
        #: Incarnation, and generation of the newest snapshot, of streams where that one could not be read.
        self._unreadable: dict[str, tuple[str, str]] = {}

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        namespace: str = "liquid",
        num_shards: int = 64,
        timeout_s: float = 2.0,
        names: Callable[[], str] | None = None,
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
            return await cls.open(connection, namespace=namespace, num_shards=num_shards, names=names)
        except BaseException:
            await connection.close()
            raise

    @classmethod
    async def open(
        cls,
        connection: Connection,
        *,
        namespace: str = "liquid",
        num_shards: int = 64,
        names: Callable[[], str] | None = None,
    ) -> Self:
        """`connect` over a connection that is there already; from then on it is the store's to close."""
        layout = await read_or_lay_out(
            connection, namespace=namespace, num_shards=num_shards, new_store_id=names or _random_name
        )
        return cls(connection, layout, names)

    @property
    def store_id(self) -> str:
        """What tells this store from any other; drawn when it was laid out."""
        return self._layout.store_id

    @property
    def num_shards(self) -> int:
        return self._keys.num_shards

    def shard_of(self, stream_id: str) -> int:
        return self._keys.shard_of(stream_id)

    async def self_check(self) -> StoreHealth:
        """Durability, server and warnings; raises `StoreRefused` for a store that would lose streams."""
        return await health.check(self._connection)

    async def run_id(self) -> str:
        """Changes whenever the server starts anew: then look whether it has lost anything."""
        return await health.run_id(self._connection)

    async def ping(self) -> None:
        await self._connection.read("PING")

    async def close(self) -> None:
        await self._connection.close()

    # --- ownership ---------------------------------------------------------------------------------------------------

    async def acquire(
        self, shards: Iterable[int], *, lease_s: float, by_force: bool = False
    ) -> dict[int, FencingToken]:
        """Become the owner of these shards, all of them or none; calls of whoever was it before fail from now on.

        Acquired again by the same `StreamStore`, they get higher epochs. After `StoreUnavailable` with an unknown
        outcome acquire them again: the store may know of a token that we do not.

        Parameters
        ----------
        lease_s
            So long nobody else acquires them but by force, if it is not renewed.
        by_force
            Take them from an owner whose lease is alive.

        Raises
        ------
        ShardsHeld
            Another owner's lease is alive, and it is not a process of this machine that has certainly ended.
        """
        return await self._ownership.acquire(shards, lease_s=lease_s, by_force=by_force)

    async def renew(self) -> None:
        """Let the leases of all our shards begin anew; raises also where there was nothing else to find it out by."""
        await self._ownership.renew()

    async def release(self) -> None:
        """Give up all our shards, so that another owner need not wait for the end of our leases.

        Those that another owner has taken meanwhile keep that one's lease.
        """
        await self._ownership.release()

    async def reacquire(self, *, lease_s: float) -> dict[int, FencingToken]:
        """Become the owner of our shards with higher epochs than before, also in a store that has forgotten us.

        After `StoreRewound`, and after calls with an unknown outcome: those that are still on their way come to nothing
        from now on. A store that is empty is laid out again as it was, under the same `store_id`.

        Raises
        ------
        StoreRefused
            Another store answers at this address now.
        ShardsHeld
            Another owner was quicker, and its lease is alive.
        """
        await lay_out_again(self._connection, self._layout)
        return await self._ownership.acquire(self._ownership.shards, lease_s=lease_s)

    def epoch_of(self, stream_id: str) -> int:
        """Epoch under which this process writes the stream; raises `Fenced` where it has not acquired the shard."""
        return self._ownership.token(self._keys.shard_of(stream_id)).epoch

    # --- streams -----------------------------------------------------------------------------------------------------

    async def create(self, stream_id: str, meta: bytes) -> str | None:
        """Make a stream.

        Returns
        -------
        Its incarnation; `None` where there is a stream with this id already, which is left as it is.
        """
        shard = self._keys.shard_of(stream_id)
        incarnation = self._names()
        keys = [self._keys.ids(shard), *self._keys.of_stream(stream_id)]
        reply = await self._ownership.run(scripts.CREATE, [shard], keys, [stream_id, incarnation, meta])
        return incarnation if reply[0] else None

    async def read_metas(self, stream_ids: Sequence[str]) -> list[bytes | None]:
        """What `create`, or a snapshot since, was given for each of these streams; `None` where there is none."""
        metas: list[bytes | None] = await self._connection.read_many(
            [("HGET", self._keys.meta(stream_id), "meta") for stream_id in stream_ids]
        )
        return metas

    async def delete(self, stream_id: str) -> bool:
        """Remove a stream with its log and snapshots; False where there was none.

        Only the stream that is there when the call begins: one that is made under the same id meanwhile stays.
        """
        [tail] = await self.tails([stream_id])
        if tail is None:
            return False
        shard = self._keys.shard_of(stream_id)
        keys = [self._keys.ids(shard), *self._keys.of_stream(stream_id)]
        reply = await self._ownership.run(scripts.DELETE, [shard], keys, [stream_id, tail.incarnation])
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
        return await self._listing.page(cursor, limit)

    async def count(self) -> int:
        """How many streams there are."""
        return await self._listing.count()

    # --- reading -----------------------------------------------------------------------------------------------------

    async def read_streams(self, stream_ids: Sequence[str]) -> list[StoredStream | StoreCorrupt | None]:
        """All that the store has of these streams; `None` for one that is not there.

        A stream that cannot be read is a `StoreCorrupt` in its place, and hinders no other. Where the newest snapshot
        is unreadable the one before it is taken, with more entries.
        """
        found: list[StoredStream | StoreCorrupt | None] = []
        for chunk in _by_number(stream_ids, _MAX_READ):
            found += await self._read_chunk(chunk)
        return found

    async def _read_chunk(self, stream_ids: Sequence[str]) -> list[StoredStream | StoreCorrupt | None]:
        readings = dict(zip(stream_ids, await self._read(stream_ids, "newest"), strict=True))
        lost = {stream_id: it for stream_id, it in readings.items() if it is not None and it.is_unreadable}
        for stream_id in readings.keys() - lost.keys():
            self._unreadable.pop(stream_id, None)  # another owner has written one that is readable
        if lost:
            log.error("snapshots_unreadable", stream_ids=sorted(lost), falling_back_to="the ones before them")
            self._unreadable |= {stream_id: (it.incarnation, it.newest) for stream_id, it in lost.items()}
            readings |= dict(zip(lost, await self._read(list(lost), "older"), strict=True))
        return [None if (it := readings[stream_id]) is None else it.stream() for stream_id in stream_ids]

    async def _read(self, stream_ids: Sequence[str], which: Literal["newest", "older"]) -> list[Reading | None]:
        replies = await self._on_streams(
            scripts.READ, stream_ids, id_of=str, keys_of=self._keys.of_stream, args_of=lambda _: (which,)
        )
        return [Reading.of(stream_id, reply) for stream_id, reply in zip(stream_ids, replies, strict=True)]

    async def tails(self, stream_ids: Sequence[str]) -> list[Tail | None]:
        """Where the logs of these streams end; `None` for one that is not there. Thousands are one call."""
        found: list[Tail | None] = []
        for chunk in _by_number(stream_ids, _MAX_TAILS):
            replies = await self._on_streams(
                scripts.TAILS, chunk, id_of=str, keys_of=self._keys.of_log, args_of=lambda _: (), width=2
            )
            found += [
                None if incarnation is None else Tail(incarnation.decode(), position)
                for incarnation, position in replies
            ]
        return found

    # --- writing -----------------------------------------------------------------------------------------------------

    async def append(self, batch: Sequence[Append]) -> list[Appended]:
        """Append a micro-batch to the logs of its streams, in one script call; a stream may occur once.

        After `StoreUnavailable` with an unknown outcome call it again with the same batch: what was appended is
        found, compared byte for byte, and not appended twice.

        Returns
        -------
        For each of `batch` its outcome, and where the log ends now. One does not hinder the others.

        Raises
        ------
        Fenced
            Another owner has one of the shards; nothing was appended, to no stream (on a Redis Cluster: to none of
            that shard).
        """
        if len({append.stream_id for append in batch}) != len(batch):
            raise ValueError("a stream may occur once in a micro-batch; put its entries into one Append")
        if any(not append.entries or append.first_position < 1 for append in batch):
            raise ValueError("an Append needs at least one entry, and positions count from 1")
        replies = await self._on_streams(
            scripts.APPEND,
            batch,
            id_of=lambda append: append.stream_id,
            keys_of=lambda append: self._keys.of_log(append.stream_id),
            args_of=lambda append: (append.incarnation, *append.entries),
            head_of=_heads,
            width=2,
        )
        return [Appended(_APPEND_OUTCOMES[outcome], tail) for outcome, tail in replies]

    async def write_snapshots(self, snapshots: Sequence[Snapshot]) -> list[SnapshotOutcome]:
        """Store snapshots, and cut the logs before the one that each stream had before.

        Returns
        -------
        For each of `snapshots` its outcome. One does not hinder the others. A snapshot that is ``ahead`` tells that the
        store was changed behind the service's back.
        """

        def args_of(snapshot: Snapshot) -> tuple[_Argument, ...]:
            incarnation, generation = self._unreadable.get(snapshot.stream_id, ("", ""))
            unreadable = generation if incarnation == snapshot.incarnation else ""
            data = encode_snapshot(snapshot.position, snapshot.blob)
            return snapshot.incarnation, snapshot.position, data, snapshot.meta, unreadable

        outcomes: list[SnapshotOutcome] = []
        for chunk in _by_size(snapshots):
            replies = await self._on_streams(
                scripts.SNAPSHOT,
                chunk,
                id_of=lambda snapshot: snapshot.stream_id,
                keys_of=lambda snapshot: self._keys.of_stream(snapshot.stream_id),
                args_of=args_of,
            )
            outcomes += [cast(SnapshotOutcome, outcome.decode()) for outcome in replies]
        for snapshot, outcome in zip(snapshots, outcomes, strict=True):
            if outcome == "written":
                self._unreadable.pop(snapshot.stream_id, None)
        return outcomes

    async def mend(self, mends: Sequence[Mend]) -> list[MendOutcome]:
        """Make a store that has lost something hold at least this of each stream.

        A stream that is not there is made again, with its incarnation. One whose log ends too early gets the snapshot
        in place of all that it has, and the last entry as its log.

        Returns
        -------
        For each of `mends` its outcome. One does not hinder the others.
        """
        for mend in mends:
            if mend.last_entry is not None and entry_position(mend.last_entry) != mend.position:
                raise ValueError(f"the last entry of {mend.stream_id!r} must be the one of position {mend.position}")

        def keys_of(mend: Mend) -> tuple[str, ...]:
            return self._keys.ids(self._keys.shard_of(mend.stream_id)), *self._keys.of_stream(mend.stream_id)

        def args_of(mend: Mend) -> tuple[_Argument, ...]:
            data = encode_snapshot(mend.position, mend.blob)
            return mend.stream_id, mend.incarnation, mend.meta, mend.position, data, mend.last_entry or b""

        outcomes: list[MendOutcome] = []
        for chunk in _by_size(mends):
            replies = await self._on_streams(
                scripts.MEND, chunk, id_of=lambda mend: mend.stream_id, keys_of=keys_of, args_of=args_of
            )
            outcomes += [cast(MendOutcome, outcome.decode()) for outcome in replies]
        return outcomes

    # --- script calls ------------------------------------------------------------------------------------------------

    async def _on_streams(
        self,
        script: scripts.Script,
        items: Sequence[_Item],
        *,
        id_of: Callable[[_Item], str],
        keys_of: Callable[[_Item], Iterable[str]],
        args_of: Callable[[_Item], Iterable[_Argument]],
        head_of: Callable[[Sequence[_Item]], _Argument] | None = None,
        width: int = 1,
    ) -> list[Any]:
        """Run a script that goes through many streams.

        Parameters
        ----------
        head_of
            One argument about all items of a call, which comes before those of each.
        width
            How many replies it gives for each: with more than one they come as tuples.

        Returns
        -------
        What it says of each of `items`, in their order.
        """

        async def run(some: Sequence[_Item]) -> list[Any]:
            shards = sorted({self._keys.shard_of(id_of(item)) for item in some})
            keys = [key for item in some for key in keys_of(item)]
            args = [] if head_of is None else [head_of(some)]
            for item in some:
                args += args_of(item)
            replies: list[Any] = await self._ownership.run(script, shards, keys, args)
            return replies if width == 1 else list(zip(*[iter(replies)] * width, strict=True))

        if not items:
            return []
        if not self._connection.is_cluster:
            return await run(items)
        by_shard: dict[int, list[int]] = {}
        for index, item in enumerate(items):
            by_shard.setdefault(self._keys.shard_of(id_of(item)), []).append(index)
        results = await asyncio.gather(*(run([items[index] for index in group]) for group in by_shard.values()))
        placed = {
            index: result
            for group, results_of_group in zip(by_shard.values(), results, strict=True)
            for index, result in zip(group, results_of_group, strict=True)
        }
        return [placed[index] for index in range(len(items))]


def _heads(batch: Sequence[Append]) -> bytes:
    """First position and number of entries of each, as `append.lua` reads them."""
    numbers = (number for append in batch for number in (append.first_position, len(append.entries)))
    return struct.pack("<" + len(batch) * "QI", *numbers)


def _by_number(items: Sequence[_Item], most: int) -> Iterator[Sequence[_Item]]:
    return (items[start : start + most] for start in range(0, len(items), most))


def _by_size(items: Sequence[_Sized]) -> Iterator[list[_Sized]]:
    """Items of at most a megabyte together, or single larger ones."""
    chunk: list[_Sized] = []
    size = 0
    for item in items:
        if chunk and size + len(item.blob) > _MAX_CALL_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += len(item.blob)
    if chunk:
        yield chunk


def _random_name() -> str:
    return uuid.uuid4().hex


__all__ = ["StreamStore"]
