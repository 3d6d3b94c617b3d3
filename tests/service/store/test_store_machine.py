"""The store against a model of it: any sequence of calls, damage, losses and owners gives what a list would."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from liquid_core.engine.records import Sample
from service.store import (
    Append,
    Fenced,
    Mend,
    ShardsHeld,
    Snapshot,
    StoredStream,
    StoreRewound,
    StreamStore,
    Tail,
    encode_entry,
)

IDS = st.sampled_from(["a", "b"])
LEASE_S = 600.0


@dataclass
class Modelled:
    """What a stream should be: its records, and which snapshots should be readable."""

    incarnation: str
    records: list[Sample] = field(default_factory=list)
    #: Positions of the two generations, newest first, and whether the newest was damaged.
    snapshots: list[int] = field(default_factory=list)
    damaged: bool = False
    #: Position of the first record in the log.
    log_from: int = 1

    @property
    def bears_damage(self) -> bool:
        """Whether the stream survives the loss of its newest snapshot; one fault more than that is data lost."""
        return bool(self.snapshots) and not self.damaged and (len(self.snapshots) == 2 or self.log_from == 1)

    @property
    def readable(self) -> int | None:
        return next(iter(self.snapshots[1 if self.damaged else 0 :]), None)


class StoreMachine(RuleBasedStateMachine):
    """Calls the store and a dict in the same way, and compares them after every step."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._namespace = f"test-{uuid.uuid4().hex}"
        self._raw = Redis.from_url(self.url)
        self._owner, self._former = self._do(self._connect()), self._do(self._connect())
        self._streams: dict[str, Modelled] = {}
        #: Incarnations of streams that were deleted, by id.
        self._former_lives: dict[str, list[str]] = {"a": [], "b": []}
        self._take_over()

    def teardown(self) -> None:
        for client in (self._owner, self._former):
            self._do(client.close())
        self._do(self._raw.aclose())
        self._runner.close()

    @initialize()
    def begin_with_a_stream_that_has_both_snapshots(self) -> None:
        """Most of what can go wrong needs one."""
        self.create("a")
        for _ in range(2):
            self.append({"a": 2}, 1.0)
            self._snapshot("a", len(self._streams["a"].records))

    @rule(stream_id=IDS)
    def create(self, stream_id: str) -> None:
        incarnation = self._do(self._owner.create(stream_id, stream_id.encode()))
        assert (incarnation is not None) == (stream_id not in self._streams)
        if incarnation is not None:
            assert incarnation not in self._former_lives[stream_id]
            self._streams[stream_id] = Modelled(incarnation)

    @rule(stream_id=IDS)
    def delete(self, stream_id: str) -> None:
        former = self._streams.pop(stream_id, None)
        assert self._do(self._owner.delete(stream_id)) == (former is not None)
        if former is not None:
            self._former_lives[stream_id].append(former.incarnation)

    @rule(counts=st.dictionaries(IDS, st.integers(1, 5), min_size=1), value=st.floats())
    def append(self, counts: dict[str, int], value: float) -> None:
        """A micro-batch for several streams; then the same once more, as if its answer had got lost."""
        batch, expected = [], []
        for stream_id, count in counts.items():
            stream = self._streams.get(stream_id)
            end = len(stream.records) if stream else 0
            records = [Sample(seq=seq, t=1.0, x=(value,)) for seq in range(end + 1, end + 1 + count)]
            batch.append(self._append_of(stream_id, end + 1, records))
            if stream:
                stream.records += records
            expected.append(("appended", len(stream.records)) if stream else ("missing", 0))
        assert self._outcomes(batch) == expected
        again = [("already" if outcome == "appended" else outcome, tail) for outcome, tail in expected]
        assert self._outcomes(batch) == again

    @precondition(lambda self: self._streams)
    @rule(data=st.data(), offset=st.sampled_from([-3, -1, 2, 5]))
    def append_elsewhere(self, data: st.DataObject, offset: int) -> None:
        """An append that does not belong at the end, of bytes that were never written."""
        stream_id = data.draw(st.sampled_from(sorted(self._streams)))
        end = len(self._streams[stream_id].records)
        position = max(1, end + offset)
        if position != end + 1:
            append = self._append_of(stream_id, position, [Sample(seq=position, t=-1.0, x=())])
            assert self._outcomes([append]) == [("mismatch", end)]

    @precondition(lambda self: any(self._former_lives[stream_id] for stream_id in self._streams))
    @rule(data=st.data())
    def write_to_a_former_life(self, data: st.DataObject) -> None:
        """Whatever is meant for a stream that was deleted does not touch the one that has its id now."""
        stream_id = data.draw(st.sampled_from(sorted(i for i in self._streams if self._former_lives[i])))
        former = data.draw(st.sampled_from(self._former_lives[stream_id]))
        end = len(self._streams[stream_id].records)
        entry = encode_entry(Sample(seq=end + 1, t=-1.0, x=()), end + 1, self._owner.epoch_of(stream_id))
        assert self._outcomes([Append(stream_id, former, end + 1, [entry])]) == [("missing", 0)]
        assert self._do(self._owner.write_snapshots([Snapshot(stream_id, former, end, b"")])) == ["missing"]
        assert self._do(self._owner.mend([Mend(stream_id, former, b"", end + 9, b"", None)])) == ["replaced"]

    @precondition(lambda self: any(stream.records for stream in self._streams.values()))
    @rule(data=st.data())
    def snapshot(self, data: st.DataObject) -> None:
        """A snapshot of what was there then, or, late, of what was there before the newest one."""
        stream_id = data.draw(st.sampled_from(sorted(i for i, stream in self._streams.items() if stream.records)))
        self._snapshot(stream_id, data.draw(st.integers(1, len(self._streams[stream_id].records))))

    def _snapshot(self, stream_id: str, position: int) -> None:
        stream = self._streams[stream_id]
        blob = _fold(stream.records[:position])
        [outcome] = self._do(self._owner.write_snapshots([Snapshot(stream_id, stream.incarnation, position, blob)]))
        assert outcome == ("stale" if position < (stream.readable or 0) else "written")
        readable = stream.readable
        if position > (readable or 0):
            stream.snapshots = [position, *([] if readable is None else [readable])]
            stream.damaged = False
            stream.log_from = min((readable or 0) + 1, len(stream.records))
        elif position == readable and stream.damaged:
            stream.snapshots, stream.damaged = [position], False

    @precondition(lambda self: any(stream.bears_damage for stream in self._streams.values()))
    @rule(data=st.data())
    def damage_the_newest_snapshot(self, data: st.DataObject) -> None:
        able = sorted(i for i, stream in self._streams.items() if stream.bears_damage)
        stream_id = data.draw(st.sampled_from(able))
        self._do(self._flip_a_byte(stream_id))
        self._streams[stream_id].damaged = True

    @rule()
    def change_owner(self) -> None:
        """Another process takes all shards over; the one before can write nothing any more."""
        self._owner, self._former = self._former, self._owner
        self._take_over()
        for call in (self._former.create("a", b""), self._former.delete("a"), self._former.read_streams(["a"])):
            with pytest.raises(Fenced):
                self._do(call)

    @rule()
    def outlive_the_owner(self) -> None:
        """Its lease is waited for, and no longer."""
        for call in (self._former.acquire(range(3), lease_s=LEASE_S), self._former.acquire([1], lease_s=LEASE_S)):
            with pytest.raises(ShardsHeld):
                self._do(call)
        self._do(self._end_leases())
        self._owner, self._former = self._former, self._owner
        self._do(self._owner.acquire(range(3), lease_s=LEASE_S))

    @precondition(lambda self: self._streams)
    @rule(data=st.data(), loss=st.sampled_from(["tail", "stream", "all"]))
    def lose_and_mend(self, data: st.DataObject, loss: str) -> None:
        """The store comes back older than it was, or empty; what is in memory puts it right."""
        stream_id = data.draw(st.sampled_from(sorted(self._streams)))
        records = self._streams[stream_id].records
        mends = [self._mend_of(each) for each in sorted(self._streams)]
        if loss == "tail":
            self._do(self._lose_tail(stream_id, data.draw(st.integers(1, 3))))
        elif loss == "stream":
            self._do(self._lose_stream(stream_id))
        else:
            self._do(self._lose_everything())
            with pytest.raises(StoreRewound) as raised:
                self._do(self._owner.tails([stream_id]))
            assert raised.value.emptied
            self._do(self._owner.reacquire(lease_s=LEASE_S))
        damaged = {
            each: loss == "all" or (each == stream_id and (loss == "stream" or bool(records))) for each in self._streams
        }
        outcomes = ["mended" if damaged[each] else "fine" for each in sorted(self._streams)]
        assert self._do(self._owner.mend(mends)) == outcomes
        assert self._do(self._owner.mend(mends)) == ["fine"] * len(mends)
        for each, stream in self._streams.items():
            if damaged[each]:
                stream.snapshots, stream.damaged = [len(stream.records)], False
                stream.log_from = max(1, len(stream.records))

    @rule()
    def forget_the_scripts(self) -> None:
        self._do(self._raw.script_flush())

    @invariant()
    def every_stream_is_its_records(self) -> None:
        """The newest readable snapshot and the log after it are all records, for each stream and in one go."""
        for stored in self._do(self._owner.read_streams(sorted(self._streams))):
            assert isinstance(stored, StoredStream)
            stream = self._streams[stored.stream_id]
            assert (stored.incarnation, stored.meta) == (stream.incarnation, stored.stream_id.encode())
            snapshot = stored.snapshot
            assert (snapshot.position if snapshot else None) == stream.readable
            if snapshot is not None:
                assert snapshot.blob == _fold(stream.records[: snapshot.position])
            start = snapshot.position if snapshot else 0
            assert repr([entry.record for entry in stored.entries]) == repr(stream.records[start:])

    @invariant()
    def every_tail_is_the_last_record(self) -> None:
        tails = {
            stream_id: Tail(stream.incarnation, len(stream.records)) for stream_id, stream in self._streams.items()
        }
        assert self._do(self._owner.tails(["a", "b"])) == [tails.get("a"), tails.get("b")]

    @invariant()
    def the_listing_is_complete(self) -> None:
        ids, cursor = self._do(self._owner.list_ids(None, 10))
        assert (sorted(ids), cursor) == (sorted(self._streams), None)

    def _do(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(call)

    async def _connect(self) -> StreamStore:
        return await StreamStore.connect(self.url, namespace=self._namespace, num_shards=3)

    def _take_over(self) -> None:
        self._do(self._owner.acquire(range(self._owner.num_shards), lease_s=LEASE_S, by_force=True))

    def _append_of(self, stream_id: str, first: int, records: list[Sample]) -> Append:
        epoch = self._owner.epoch_of(stream_id)
        stream = self._streams.get(stream_id)
        entries = [encode_entry(record, record.seq, epoch) for record in records]
        return Append(stream_id, stream.incarnation if stream else "none", first, entries)

    def _outcomes(self, batch: list[Append]) -> list[tuple[str, int]]:
        return [(appended.outcome, appended.tail) for appended in self._do(self._owner.append(batch))]

    def _mend_of(self, stream_id: str) -> Mend:
        """What is in memory of a stream; its last entry as it is in the log."""
        stream = self._streams[stream_id]
        last = self._do(self._raw.lindex(self._key("log", stream_id), -1)) if stream.records else None
        return Mend(stream_id, stream.incarnation, stream_id.encode(), len(stream.records), _fold(stream.records), last)

    def _key(self, kind: str, stream_id: str) -> str:
        return f"{self._namespace}:{{s{self._owner.shard_of(stream_id):03d}}}:{kind}:{stream_id}"

    async def _end_leases(self) -> None:
        for shard in range(3):
            await self._raw.pexpire(f"{self._namespace}:{{s{shard:03d}}}:lease", 0)

    async def _lose_tail(self, stream_id: str, count: int) -> None:
        """The last entries, and all snapshots of them or after them, as if the store were older."""
        await self._raw.rpop(self._key("log", stream_id), count)
        position = await self._raw.hget(self._key("meta", stream_id), "position")
        if int(position or 0) > max(0, len(self._streams[stream_id].records) - count):
            await self._raw.delete(self._key("snap", stream_id))
            await self._raw.hdel(self._key("meta", stream_id), "position")

    async def _lose_stream(self, stream_id: str) -> None:
        await self._raw.delete(*(self._key(kind, stream_id) for kind in ("meta", "log", "snap")))
        await self._raw.zrem(f"{self._namespace}:{{s{self._owner.shard_of(stream_id):03d}}}:ids", stream_id)

    async def _lose_everything(self) -> None:
        await self._raw.delete(*[key async for key in self._raw.scan_iter(f"{self._namespace}:*")])

    async def _flip_a_byte(self, stream_id: str) -> None:
        key = self._key("snap", stream_id)
        newest = (await self._raw.hget(key, "newest")).decode()
        data = bytearray(await self._raw.hget(key, newest))
        data[len(data) // 2] ^= 1
        await self._raw.hset(key, newest, bytes(data))


def _fold(records: list[Sample]) -> bytes:
    """A state that differs for any two histories."""
    return json.dumps([repr(record) for record in records]).encode()


def test_the_store_is_what_its_model_is(store_url: str) -> None:
    """Random histories, each on a namespace of its own."""
    machine = type("StoreMachine", (StoreMachine,), {"url": store_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink a history takes minutes on a real server
            suppress_health_check=list(HealthCheck),
        ),
    )
