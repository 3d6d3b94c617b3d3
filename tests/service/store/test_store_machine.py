"""The store against a model of it: any sequence of calls, damage and changes of owner gives what a list would."""

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
from service.store import Append, Fenced, Snapshot, StreamStore, encode_entry

IDS = st.sampled_from(["a", "b"])


@dataclass
class Modelled:
    """What a stream should be: its records, and which snapshots should be readable."""

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
        assert self._do(self._owner.create(stream_id, stream_id.encode())) == (stream_id not in self._streams)
        self._streams.setdefault(stream_id, Modelled())

    @rule(stream_id=IDS)
    def delete(self, stream_id: str) -> None:
        assert self._do(self._owner.delete(stream_id)) == (self._streams.pop(stream_id, None) is not None)

    @rule(counts=st.dictionaries(IDS, st.integers(1, 5), min_size=1), value=st.floats())
    def append(self, counts: dict[str, int], value: float) -> None:
        """A micro-batch for several streams; then the same once more, as if its answer had got lost."""
        batch, expected = [], []
        for stream_id, count in counts.items():
            stream = self._streams.get(stream_id)
            end = len(stream.records) if stream else 0
            records = [Sample(seq=seq, t=1.0, x=(value,)) for seq in range(end + 1, end + 1 + count)]
            batch.append(self._append_of(stream_id, end + 1, records))
            expected.append("appended" if stream else "missing")
            if stream:
                stream.records += records
        assert self._do(self._owner.append(batch)) == expected
        again = ["already" if outcome == "appended" else outcome for outcome in expected]
        assert self._do(self._owner.append(batch)) == again

    @precondition(lambda self: self._streams)
    @rule(data=st.data(), offset=st.sampled_from([-3, -1, 2, 5]))
    def append_elsewhere(self, data: st.DataObject, offset: int) -> None:
        """An append that does not belong at the end, of bytes that were never written."""
        stream_id = data.draw(st.sampled_from(sorted(self._streams)))
        position = max(1, len(self._streams[stream_id].records) + offset)
        if position != len(self._streams[stream_id].records) + 1:
            append = self._append_of(stream_id, position, [Sample(seq=position, t=-1.0, x=())])
            assert self._do(self._owner.append([append])) == ["mismatch"]

    @precondition(lambda self: any(stream.records for stream in self._streams.values()))
    @rule(data=st.data())
    def snapshot(self, data: st.DataObject) -> None:
        """A snapshot of what was there then, or, late, of what was there before the newest one."""
        stream_id = data.draw(st.sampled_from(sorted(i for i, stream in self._streams.items() if stream.records)))
        self._snapshot(stream_id, data.draw(st.integers(1, len(self._streams[stream_id].records))))

    def _snapshot(self, stream_id: str, position: int) -> None:
        stream = self._streams[stream_id]
        self._do(self._owner.write_snapshots([Snapshot(stream_id, position, _fold(stream.records[:position]))]))
        readable = stream.readable or 0
        if position > readable:
            stream.snapshots = [position, *([readable] if readable else [])]
            stream.damaged = False
            stream.log_from = min(readable + 1, len(stream.records))
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
        for write in (self._former.create("a", b""), self._former.delete("a")):
            with pytest.raises(Fenced):
                self._do(write)

    @rule()
    def forget_the_scripts(self) -> None:
        self._do(self._raw.script_flush())

    @invariant()
    def every_stream_is_its_records(self) -> None:
        """The newest readable snapshot and the log after it are all records, for each stream and in one go."""
        ids = sorted(self._streams)
        snapshots = self._do(self._owner.read_snapshots(ids))
        starts = [snapshot.position if snapshot else 0 for snapshot in snapshots]
        logs = self._do(self._owner.read_logs(list(zip(ids, starts, strict=True))))
        for stream_id, snapshot, log in zip(ids, snapshots, logs, strict=True):
            stream = self._streams[stream_id]
            assert (snapshot.position if snapshot else None) == stream.readable
            if snapshot is not None:
                assert snapshot.blob == _fold(stream.records[: snapshot.position])
            start = snapshot.position if snapshot else 0
            assert repr([entry.record for entry in log]) == repr(stream.records[start:])

    @invariant()
    def the_listing_is_complete(self) -> None:
        ids, cursor = self._do(self._owner.list_ids(None, 10))
        assert (sorted(ids), cursor) == (sorted(self._streams), None)

    def _do(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(call)

    async def _connect(self) -> StreamStore:
        return await StreamStore.connect(self.url, namespace=self._namespace, num_shards=3)

    def _take_over(self) -> None:
        self._do(self._owner.acquire(range(self._owner.num_shards)))

    def _append_of(self, stream_id: str, first: int, records: list[Sample]) -> Append:
        epoch = self._owner.epoch_of(stream_id)
        return Append(stream_id, first, [encode_entry(record, record.seq, epoch) for record in records])

    async def _flip_a_byte(self, stream_id: str) -> None:
        key = f"{self._namespace}:{{s{self._owner.shard_of(stream_id):03d}}}:snap:{stream_id}"
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
