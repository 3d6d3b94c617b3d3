"""What a client can do to a stream beside feeding it: reset, freeze, go back, fork, change its spec, take a state over.

Each prepares a command and sees that it can be applied before it goes into the log, for what is there is applied again
in every replay. It is then queued behind the stream's samples.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import msgspec

from liquid_core import soundness
from liquid_core.engine.records import Control, Freeze, Reset, Restore, SpecChange, Unfreeze
from liquid_core.errors import EngineUnavailableError, SpecError, StateFormatError
from liquid_core.spec import ModelSpec
from liquid_core.state import StreamState, spec_of
from service.messages import MAX_STATE_BYTES, ProblemItem, SnapshotInfo, SnapshotList, StreamInfo
from service.problems import CATALOGUE, Problem
from service.shard.commands import Applied, Command, Condition, has_seq, has_spec, is_empty, is_still
from service.shard.models import EngineRoom
from service.shard.snapshots import snapshot_of
from service.shard.streams import HotStream, not_for_this_engine
from service.store import Kept, Snapshot, StreamStore

#: Snapshots that a stream may have pinned.
MAX_PINNED = 8

Seen = TypeVar("Seen")


class Streams(Protocol):
    """The host, as far as verbs need it."""

    async def read(self, stream_id: str, look: Callable[[HotStream], Seen]) -> tuple[HotStream, Seen]: ...
    async def submit(self, stream_id: str, items: Sequence[Command]) -> Sequence[Any]: ...
    async def create(self, stream_id: str, spec: ModelSpec) -> tuple[StreamInfo, bool]: ...
    async def describe(self, stream_id: str) -> StreamInfo: ...
    def store_problems(self) -> AbstractContextManager[None]: ...


class Pinned(msgspec.Struct, frozen=True):
    """What the store keeps of a pinned snapshot beside it, for listings."""

    seq: int
    created_at: float


class StreamVerbs:
    """The verbs of one host's streams. Each raises `Problem` where it cannot be done."""

    def __init__(self, streams: Streams, store: StreamStore, room: EngineRoom) -> None:
        self._streams = streams
        self._store = store
        self._room = room

    async def reset(self, stream_id: str, if_seq: int | None) -> StreamInfo:
        """Let learning begin anew; a stream that is frozen stays so."""
        return await self._do(stream_id, Reset(), has_seq(if_seq))

    async def freeze(self, stream_id: str, if_seq: int | None) -> StreamInfo:
        """Let it predict and measure, but not learn; nothing happens to one that is frozen."""
        return await self._do(stream_id, Freeze(), has_seq(if_seq))

    async def unfreeze(self, stream_id: str, if_seq: int | None) -> StreamInfo:
        """Let it learn again."""
        return await self._do(stream_id, Unfreeze(), has_seq(if_seq))

    async def rollback(self, stream_id: str, to: int, if_seq: int | None) -> StreamInfo:
        """Go back to the snapshot at a position; the numbers of samples go on."""
        stream, _ = await self._streams.read(stream_id, _nothing)
        with self._streams.store_problems():
            kept = await self._store.pins.read(stream_id, stream.incarnation, to)
        if kept is None:
            raise _no_snapshot()
        await self._check_state(kept.blob)
        control = Restore(kept.blob, keeps_numbers=True, origin=f"{stream_id}@{to}")
        return await self._do(stream_id, control, is_still(stream.incarnation), has_seq(if_seq))

    async def fork(self, stream_id: str, new_id: str) -> StreamInfo:
        """Make a stream that is what this one is now, numbers included, and goes its own way from here."""
        _, snapshot = await self._streams.read(stream_id, snapshot_of)
        _check_size(snapshot.blob)
        await self._streams.create(new_id, spec_of(snapshot.blob))
        origin = f"{stream_id}@{snapshot.position}"
        return await self._do(new_id, Restore(snapshot.blob, keeps_numbers=False, origin=origin), is_empty)

    async def change_spec(self, stream_id: str, patch: dict[str, Any]) -> StreamInfo:
        """Merge `patch` into the stream's spec (RFC 7396: `null` stands for the default).

        What it learned goes on where only rates, admission or the drift detector change; else learning begins anew.
        """
        stream, _ = await self._streams.read(stream_id, _nothing)
        before = stream.spec
        try:
            after = ModelSpec.from_json(msgspec.json.encode(_merged(msgspec.to_builtins(before), patch)))
        except SpecError as error:
            raise Problem("spec_invalid", str(error)) from None
        await self._room.run(lambda: self._check_spec(after))
        return await self._do(stream_id, SpecChange(after), is_still(stream.incarnation), has_spec(before.digest))

    async def import_state(self, stream_id: str, state: bytes) -> tuple[StreamInfo, bool]:
        """Let the stream be what a state says, numbers included; True: it was not there, and is made for it."""
        spec = await self._check_state(state, untrusted=True)
        _, created = await self._streams.create(stream_id, spec)
        return await self._do(stream_id, Restore(state, keeps_numbers=False, origin="import")), created

    # --- snapshots ---------------------------------------------------------------------------------------------------

    async def pin(self, stream_id: str) -> SnapshotInfo:
        """Keep the state that the stream has now, until it is unpinned."""

        def look(stream: HotStream) -> tuple[Snapshot, int]:
            return snapshot_of(stream), int(stream.arrays()["stream.seq"])

        _, (snapshot, seq) = await self._streams.read(stream_id, look)
        _check_size(snapshot.blob)
        info = Pinned(seq=seq, created_at=time.time())
        with self._streams.store_problems():
            outcome = await self._store.pins.pin(snapshot, msgspec.msgpack.encode(info), most=MAX_PINNED)
        if outcome == "full":
            raise Problem(
                "too_many_snapshots", f"a stream keeps {MAX_PINNED} snapshots; delete one that is not needed any more."
            )
        if outcome == "missing":
            raise Problem("stream_not_found", "the stream was deleted meanwhile.")
        return SnapshotInfo(position=snapshot.position, seq=seq, pinned=True, created_at=info.created_at)

    async def unpin(self, stream_id: str, position: int) -> None:
        """Let a pinned snapshot go."""
        stream, _ = await self._streams.read(stream_id, _nothing)
        with self._streams.store_problems():
            if not await self._store.pins.unpin(stream_id, stream.incarnation, position):
                raise _no_snapshot()

    async def snapshots(self, stream_id: str) -> SnapshotList:
        """What the stream can go back to: what was pinned, and the two newest of the service's own."""
        stream, _ = await self._streams.read(stream_id, _nothing)
        with self._streams.store_problems():
            kept = await self._store.pins.kept(stream_id, stream.incarnation)
        infos = await self._room.run(lambda: [self._info(each) for each in kept])
        pinned = {info.position for info in infos if info.pinned}
        shown = [info for info in infos if info.pinned or info.position not in pinned]
        return SnapshotList(id=stream_id, snapshots=shown)

    def _info(self, kept: Kept) -> SnapshotInfo:
        if kept.info is not None:
            pinned = msgspec.msgpack.decode(kept.info, type=Pinned)
            return SnapshotInfo(position=kept.position, seq=pinned.seq, pinned=True, created_at=pinned.created_at)
        assert kept.snapshot is not None
        return SnapshotInfo(
            position=kept.position, seq=self._state_of(kept.snapshot.blob)[1], pinned=False, created_at=None
        )

    # --- doing it ----------------------------------------------------------------------------------------------------

    async def _do(self, stream_id: str, control: Control, *conditions: Condition) -> StreamInfo:
        """Queue a command behind the stream's samples; the stream as it is afterwards."""
        (outcome,) = await self._streams.submit(stream_id, [Command(control, conditions)])
        if isinstance(outcome, ProblemItem):
            raise Problem.of(outcome.problem)
        assert isinstance(outcome, Applied)
        return await self._streams.describe(stream_id)

    async def _check_state(self, state: bytes, *, untrusted: bool = False) -> ModelSpec:
        """Refuse a state that could not be applied; its spec."""
        _check_size(state)
        try:
            read, _ = await self._room.run(lambda: self._state_of(state, untrusted=untrusted))
        except StateFormatError as error:
            raise Problem("state_invalid", str(error)) from None
        return read.spec

    def _state_of(self, blob: bytes, *, untrusted: bool = False) -> tuple[StreamState, int]:
        """A state, and the number of its last sample; in the engine's thread."""
        spec = spec_of(blob)
        self._check_spec(spec)
        model = self._room.model(spec)
        try:
            layout = model.engine.layout
            state = StreamState.from_bytes(blob, layout, spec)
            if untrusted:
                soundness.check(layout, spec, state.row)
            return state, int(layout.views(state.row[None])["stream.seq"][0])
        finally:
            self._room.release(model)

    def _check_spec(self, spec: ModelSpec) -> None:
        """Refuse a spec that no model can be built of here; in the engine's thread."""
        try:
            self._room.release(self._room.model(spec))
        except SpecError as error:
            raise Problem(error.code if error.code in CATALOGUE else "spec_invalid", str(error)) from error
        except EngineUnavailableError as error:
            raise not_for_this_engine(error) from error


def _merged(value: Any, patch: Any) -> Any:
    """JSON merge patch, RFC 7396; only that what becomes of another kind keeps none of the old one's settings."""
    if not isinstance(patch, dict):
        return patch
    same_kind = isinstance(value, dict) and patch.get("kind", value.get("kind")) == value.get("kind")
    merged = dict(value) if same_kind else {}
    for name, change in patch.items():
        if change is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), change)
    return merged


def _nothing(_: HotStream) -> None: ...


def _check_size(state: bytes) -> None:
    if len(state) > MAX_STATE_BYTES:
        raise Problem(
            "state_too_large",
            f"a state of more than {MAX_STATE_BYTES >> 20} MiB cannot be taken over; take a smaller model.",
        )


def _no_snapshot() -> Problem:
    return Problem("snapshot_not_found", "the stream keeps no snapshot at this position; list those that it has.")


__all__ = ["MAX_PINNED", "StreamVerbs"]
