"""The archive: every life of every stream, as the store's server sees it."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from service.shard.streams import StreamMeta
from service.store.codec import decode_entry, entry_position
from service.store.keys import Keys
from tests.simulation.history import Life, Written
from tests.simulation.memory_server import MemoryServer, Value

_KEY = re.compile(rb"^[^:]+:\{s\d+\}:(meta|log):(.+)$")


class Archive:
    """Watches the server, and keeps what it trims and forgets.

    A life is known by what the service wrote when it began, so a stream that the service brings back after a loss goes
    on living, and one that a client makes anew does not.
    """

    def __init__(self, server: MemoryServer, keys: Keys, now_s: Callable[[], float]) -> None:
        self._server = server
        self._keys = keys
        self._now_s = now_s
        self._lives: dict[tuple[str, bytes], Life] = {}
        server.watch, server.watch_loss = self._on_write, self._on_loss

    def lives(self) -> list[Life]:
        """All lives, each with its position as the store has it now."""
        for (stream_id, identity), life in self._lives.items():
            life.position = self._position(stream_id) if self._identity(stream_id) == identity else 0
        return list(self._lives.values())

    def _position(self, stream_id: str) -> int:
        entries = self._server.value(self._keys.log(stream_id))
        if isinstance(entries, list):
            return entry_position(entries[-1])
        return int(self._meta(stream_id).get(b"position", 0))

    def _meta(self, stream_id: str) -> dict[bytes, bytes]:
        meta = self._server.value(self._keys.meta(stream_id))
        return meta if isinstance(meta, dict) else {}

    def _identity(self, stream_id: str) -> bytes | None:
        return self._meta(stream_id).get(b"incarnation")

    def _current(self, stream_id: str) -> Life | None:
        identity = self._identity(stream_id)
        return None if identity is None else self._lives.get((stream_id, identity))

    def _on_write(self, command: str, key: bytes, rest: tuple[bytes, ...]) -> None:
        match = _KEY.match(key)
        if match is None:
            return
        stream_id = match[2].decode()
        if match[1] == b"meta":
            if command in ("del", "unlink"):
                self._died(stream_id)
            else:
                self._born(stream_id)
        elif command == "rpush" and (life := self._current(stream_id)) is not None:
            for data in rest:
                entry = decode_entry(data)
                life.writes.append(Written(self._now_s(), entry.position, entry.token_epoch, entry.record))

    def _born(self, stream_id: str) -> None:
        meta = self._meta(stream_id)
        key = (stream_id, meta[b"incarnation"])
        if key not in self._lives:
            spec = msgspec.json.decode(meta[b"meta"], type=StreamMeta).spec
            self._lives[key] = Life(stream_id, spec, self._now_s())
        self._lives[key].died_at = None

    def _died(self, stream_id: str) -> None:
        for life in self._lives.values():
            if life.stream_id == stream_id and life.died_at is None and self._current(stream_id) is None:
                life.died_at = self._now_s()

    def _on_loss(self, key: bytes, value: Value | None) -> None:
        match = _KEY.match(key)
        if match is not None and match[1] == b"meta" and value is not None:
            self._born(match[2].decode())  # its removal was forgotten


__all__ = ["Archive"]
