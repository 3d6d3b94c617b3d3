"""From the store's reply to a read to a stream: whole, or said to be damaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import structlog

from service.store.calls import StoredStream
from service.store.codec import LogEntry, Snapshot, decode_entry, decode_snapshot
from service.store.connection import Reply
from service.store.errors import StoreCorrupt

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a read found of one stream: one of its two snapshots, and the log after that."""

    stream_id: str
    incarnation: str
    meta: bytes
    #: Generation of the newest snapshot, whether that one was read or the one before it; '' where there is none.
    newest: str
    #: `None` where none is there, and where the one that is there cannot be read.
    snapshot: Snapshot | None
    is_unreadable: bool
    #: Those after the snapshot, and the last one in any case.
    entries: Sequence[bytes]

    @classmethod
    def of(cls, stream_id: str, reply: Reply) -> Self | None:
        """`None` where there is no such stream; `reply` is one element of what `read.lua` returns."""
        if reply is None:
            return None
        incarnation, meta, newest, data, entries = reply
        snapshot, is_unreadable = None, False
        if data is not None:
            try:
                snapshot = decode_snapshot(stream_id, incarnation.decode(), data)
            except StoreCorrupt as error:
                log.warning("snapshot_corrupt", stream_id=stream_id, error=str(error))
                is_unreadable = True
        return cls(
            stream_id=stream_id,
            incarnation=incarnation.decode(),
            meta=meta,
            newest="" if newest is None else newest.decode(),
            snapshot=snapshot,
            is_unreadable=is_unreadable,
            entries=entries,
        )

    def stream(self) -> StoredStream | StoreCorrupt:
        """The stream; or what is wrong with it, where an entry is damaged or the log does not follow the snapshot."""
        try:
            entries = self._decoded_entries()
        except StoreCorrupt as error:
            return StoreCorrupt(f"log of stream {self.stream_id!r}: {error}")
        return StoredStream(
            stream_id=self.stream_id,
            incarnation=self.incarnation,
            meta=self.meta,
            snapshot=self.snapshot,
            entries=entries,
        )

    def _decoded_entries(self) -> list[LogEntry]:
        start = 0 if self.snapshot is None else self.snapshot.position
        decoded = [decode_entry(data) for data in self.entries]
        if decoded and decoded[-1].position < start:
            raise StoreCorrupt(
                f"it ends at record {decoded[-1].position}, and the snapshot is of record {start}; restore the store "
                "from its backup, or delete the stream"
            )
        entries = [entry for entry in decoded if entry.position > start]
        for expected, entry in enumerate(entries, start + 1):
            if entry.position != expected:
                raise StoreCorrupt(
                    f"record {expected} is not there, {entry.position} comes instead; restore the store from its "
                    "backup, or delete the stream"
                )
        return entries


__all__ = ["Reading"]
