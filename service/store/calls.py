"""What goes into a call of the store, and what comes out of it.

Wherever a stream is meant, its incarnation is named too: a stream that was deleted and made anew under the same id is
another one, and no call that was meant for the former may touch it, however late it arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from service.store.codec import LogEntry, Snapshot

#: ``already``: the same bytes are there · ``mismatch``: the log ends elsewhere than the caller thinks · ``missing``: no
#: such stream, or another incarnation of it.
AppendOutcome = Literal["appended", "already", "mismatch", "missing"]
#: ``stale``: a newer one is there · ``ahead``: it holds records that the log does not have · ``missing``: no such
#: stream, or another incarnation of it. Nothing was written but for ``written``.
SnapshotOutcome = Literal["written", "stale", "ahead", "missing"]
#: ``fine``: nothing was lost · ``replaced``: another incarnation is there, or another record at the same position; what
#: is there was left as it is, and what is in memory is not the stream any more.
MendOutcome = Literal["mended", "fine", "replaced"]


@dataclass(frozen=True, slots=True)
class StoredStream:
    """All that the store has of a stream: its state is the snapshot's, folded over the entries."""

    stream_id: str
    incarnation: str
    #: What `create` was given.
    meta: bytes
    #: The newest one that passes its checksum; `None` where the entries begin with the first record.
    snapshot: Snapshot | None
    #: All entries after the snapshot, in order.
    entries: list[LogEntry]


@dataclass(frozen=True, slots=True)
class Append:
    """Entries for one stream's log."""

    stream_id: str
    incarnation: str
    #: Position of the first entry; the others follow it.
    first_position: int
    #: From `encode_entry`.
    entries: Sequence[bytes]


class Appended(NamedTuple):
    """What became of an `Append`."""

    outcome: AppendOutcome
    #: Position of the log's last record now; 0 where the stream is missing.
    tail: int


class Tail(NamedTuple):
    """Where a stream's log ends."""

    incarnation: str
    #: Position of the last record; 0 before the first.
    position: int


@dataclass(frozen=True, slots=True)
class Mend:
    """What the store must have of a stream, at least: enough to go on from its last record."""

    stream_id: str
    incarnation: str
    #: As `create` was given it.
    meta: bytes
    #: Position of the last record.
    position: int
    #: State after that record.
    blob: bytes
    #: The last record's entry as it was appended, byte for byte; `None` before the first one, or where it is not known.
    last_entry: bytes | None


__all__ = [
    "Append",
    "AppendOutcome",
    "Appended",
    "Mend",
    "MendOutcome",
    "SnapshotOutcome",
    "StoredStream",
    "Tail",
]
