"""Streams in a store, and the calls that the benchmark makes for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from redis.asyncio import Redis

from liquid_core.engine.records import Sample
from service.store import Append, Snapshot, StoredStream, StreamStore, encode_entry

#: Records of a micro-batch, values of a record, bytes of a snapshot, records after it.
BATCH, FEATURES, SNAPSHOT_BYTES, REPLAYED = 256, 8, 150_000, 32
#: Snapshots of a call: a megabyte. Streams that are read in a call.
SNAPSHOTS, READ = 6, 16

Call = Callable[[], Awaitable[list[Any]]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of call."""

    name: str
    #: What it does to how many of what.
    size: int
    unit: str
    #: The next call, made ready; without end.
    calls: Iterator[Call]
    #: Whether an element of the answer is what was meant to be measured.
    is_right: Callable[[Any], bool]


class Load:
    """A store full of streams; made by `create`."""

    def __init__(self, store: StreamStore, server: Redis, incarnations: dict[str, str], *, with_snapshot: int) -> None:
        self._store = store
        self._server = server
        self._incarnations = incarnations
        self._ids = list(incarnations)
        self._with_snapshot = self._ids[:with_snapshot]
        self._positions = dict.fromkeys(incarnations, 0)

    @classmethod
    async def create(cls, store: StreamStore, server: Redis, *, streams: int, with_snapshot: int) -> Self:
        """Make the streams; some of them get a snapshot and records after it.

        Parameters
        ----------
        server
            The store's, without the store's rules.
        """
        ids = [f"sensor-{number:05d}" for number in range(streams)]
        made = [str(incarnation) for incarnation in await asyncio.gather(*(store.create(each, b"{}") for each in ids))]
        load = cls(store, server, dict(zip(ids, made, strict=True)), with_snapshot=with_snapshot)
        for stream_id in load._with_snapshot:
            await store.append([load._append(stream_id, 1)])
            await store.write_snapshots([load._snapshot(stream_id)])
            await store.append([load._append(stream_id, REPLAYED)])
        return load

    def kinds(self) -> list[Kind]:
        """All that is measured, in this order: snapshots cut the logs that reading needs, so they come last."""
        store = self._store
        return [
            Kind("append, 1 a stream", BATCH, "records", self._appends(1), lambda it: it.outcome == "appended"),
            Kind("append, 8 a stream", BATCH, "records", self._appends(8), lambda it: it.outcome == "appended"),
            Kind("RPUSH, pipelined", BATCH, "records", self._plain_pushes(), lambda length: length > 0),
            Kind("tails", len(self._ids), "streams", self._looks(store.tails, len(self._ids)), bool),
            Kind("read_streams", READ, "streams", self._looks(store.read_streams, READ), _has_snapshot),
            Kind("write_snapshots", SNAPSHOTS, "snapshots", self._snapshots(), lambda it: it == "written"),
        ]

    def _appends(self, each: int) -> Iterator[Call]:
        """Micro-batches with `each` records of one stream, which go through the streams in turn."""
        streams = _in_turn([stream_id for stream_id in self._ids if stream_id not in set(self._with_snapshot)])
        while True:
            batch = [self._append(next(streams), each) for _ in range(BATCH // each)]
            yield lambda batch=batch: self._store.append(batch)  # type: ignore[misc]

    def _plain_pushes(self) -> Iterator[Call]:
        """What an append would be that promises nothing: to lists of their own, in one round trip."""
        streams = _in_turn(self._ids)
        entry = encode_entry(Sample(seq=1, t=1.7e9, x=(0.5,) * FEATURES), 1, 1)
        while True:
            pipeline = self._server.pipeline(transaction=False)
            for _ in range(BATCH):
                pipeline.rpush(f"plain:{next(streams)}", entry)
            yield pipeline.execute

    def _looks(self, look: Callable[[list[str]], Awaitable[list[Any]]], count: int) -> Iterator[Call]:
        streams = _in_turn(self._ids if count == len(self._ids) else self._with_snapshot)
        while True:
            ids = [next(streams) for _ in range(count)]
            yield lambda ids=ids: look(ids)  # type: ignore[misc]

    def _snapshots(self) -> Iterator[Call]:
        streams = _in_turn(self._with_snapshot)
        while True:
            snapshots = [self._snapshot(next(streams)) for _ in range(SNAPSHOTS)]
            yield lambda snapshots=snapshots: self._store.write_snapshots(snapshots)  # type: ignore[misc]

    def _append(self, stream_id: str, count: int) -> Append:
        first = self._positions[stream_id] + 1
        self._positions[stream_id] += count
        epoch = self._store.epoch_of(stream_id)
        entries = [
            encode_entry(Sample(seq=position, t=1.7e9 + position, x=(0.5,) * FEATURES), position, epoch)
            for position in range(first, first + count)
        ]
        return Append(stream_id, self._incarnations[stream_id], first, entries)

    def _snapshot(self, stream_id: str) -> Snapshot:
        blob = bytes(range(250)) * (SNAPSHOT_BYTES // 250)
        return Snapshot(stream_id, self._incarnations[stream_id], self._positions[stream_id], blob)


def _has_snapshot(stream: object) -> bool:
    return isinstance(stream, StoredStream) and stream.snapshot is not None and len(stream.entries) == REPLAYED


def _in_turn(items: list[str]) -> Iterator[str]:
    while True:
        yield from items


__all__ = ["Kind", "Load"]
