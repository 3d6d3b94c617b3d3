"""States that a stream can go back to: those that somebody pinned, and its two snapshots, for as long as they last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from service.store import scripts
from service.store.codec import Snapshot, decode_snapshot, encode_snapshot
from service.store.keys import Keys
from service.store.ownership import Ownership

#: ``full``: the stream keeps as many as it may · ``missing``: no such stream, or another incarnation of it.
PinOutcome = Literal["pinned", "full", "missing"]

_Argument = str | bytes | int


@dataclass(frozen=True, slots=True)
class Kept:
    """One of them, as a listing shows it."""

    position: int
    #: What `pin` was given to tell of it; `None` for a snapshot.
    info: bytes | None
    #: A snapshot's own state; `None` for one that is pinned, that `read` gets.
    snapshot: Snapshot | None


class Pins:
    """Pinned states, by stream and position. They go with their stream."""

    def __init__(self, keys: Keys, ownership: Ownership) -> None:
        self._keys = keys
        self._ownership = ownership

    async def pin(self, snapshot: Snapshot, info: bytes, *, most: int) -> PinOutcome:
        """Keep a state; to be repeated at will.

        Parameters
        ----------
        info
            What a listing tells of it.
        most
            States that a stream may have pinned.
        """
        data = encode_snapshot(snapshot.position, snapshot.blob)
        reply = await self._run(
            scripts.PIN, snapshot.stream_id, snapshot.incarnation, snapshot.position, data, info, most
        )
        return cast(PinOutcome, reply[0].decode())

    async def unpin(self, stream_id: str, incarnation: str, position: int) -> bool:
        """Let a state go; False where none was pinned there."""
        return bool((await self._run(scripts.UNPIN, stream_id, incarnation, position))[0])

    async def kept(self, stream_id: str, incarnation: str) -> list[Kept]:
        """All that the stream can go back to, ordered by position.

        Raises
        ------
        StoreCorrupt
            One of the snapshots fails its checksum.
        """
        reply = await self._run(scripts.KEPT, stream_id, incarnation)
        kept = [
            Kept(int(position), info or None, decode_snapshot(stream_id, incarnation, data) if data else None)
            for position, info, data in zip(*[iter(reply)] * 3, strict=True)
        ]
        return sorted(kept, key=lambda each: (each.position, each.snapshot is not None))

    async def read(self, stream_id: str, incarnation: str, position: int) -> Snapshot | None:
        """The state that is kept at a position, pinned or a snapshot; `None` where there is none.

        Raises
        ------
        StoreCorrupt
            It fails its checksum.
        """
        reply = await self._run(scripts.PINNED, stream_id, incarnation, position)
        return decode_snapshot(stream_id, incarnation, reply[0]) if reply else None

    async def _run(self, script: scripts.Script, stream_id: str, *args: _Argument) -> list[bytes]:
        keys = self._keys.of_stream(stream_id)
        reply: list[bytes] = await self._ownership.run(script, [self._keys.shard_of(stream_id)], keys, args)
        return reply


__all__ = ["Kept", "PinOutcome", "Pins"]
