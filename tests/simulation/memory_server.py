"""A Redis server in memory: the commands that the store uses, real scripts, and a journal by which it can lose writes.

It answers as Redis does, to the letter of its errors; `test_memory_server.py` holds it to a real server. What it does
not know it refuses, so a script that begins to use another command says which.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from redis.exceptions import BusyLoadingError, ResponseError

from tests.simulation.lua import Reply, Scripts, Status, error_of

#: A string, a list, a hash, or a sorted set all of whose scores are the same.
Value = bytes | list[bytes] | dict[bytes, bytes] | set[bytes]
Command = Callable[..., Reply]
#: What a write changed: of each key the value before, and when that would have expired.
Undo = dict[bytes, tuple[Value | None, float | None]]

_OK = Status(b"OK")
_COMMANDS: dict[str, tuple[Command, bool, bool]] = {}
#: Writes that can be taken back.
_JOURNAL_LENGTH = 64


def _command(*, writes: bool = False, grows: bool = False) -> Callable[[Command], Command]:
    """Make a method a command; one that `grows` is refused while memory is full."""

    def register(method: Command) -> Command:
        _COMMANDS[method.__name__.lstrip("_")] = (method, writes or grows, grows)
        return method

    return register


class MemoryServer:
    """One server with its data.

    Parameters
    ----------
    now_s
        The server's clock, for keys that expire.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._data: dict[bytes, Value] = {}
        self._expires: dict[bytes, float] = {}
        self._known_scripts: dict[bytes, bytes] = {}
        self._scripts = Scripts(self._call)
        self._undo: Undo = {}
        self._journal: list[Undo] = []
        self._in_script = False
        self._starts = 1
        #: No memory is left.
        self.full = False
        #: It has become a replica.
        self.read_only = False
        #: It reads its file and answers nothing yet.
        self.loading = False
        #: Told of every command of a write that went through: its name, its key, and the rest.
        self.watch: Callable[[str, bytes, tuple[bytes, ...]], None] = lambda *_: None
        #: Told of a key whose value was taken back to an older one, which may be `None`.
        self.watch_loss: Callable[[bytes, Value | None], None] = lambda *_: None

    @property
    def run_id(self) -> str:
        return f"{self._starts:040d}"

    # --- what a client does ------------------------------------------------------------------------------------------

    def execute(self, *command: str | bytes | int | float) -> Reply:
        """Carry out one command; raises what redis-py makes of the server's error."""
        if self.loading:
            raise BusyLoadingError("Redis is loading the dataset in memory")
        words = [_bytes(word) for word in command]
        self._undo = {}
        try:
            return self._call(words)
        finally:
            if self._undo:
                self._journal = [*self._journal[1 - _JOURNAL_LENGTH :], self._undo]

    def value(self, key: str) -> Value | None:
        """A key's value, for whoever looks at the server from outside."""
        return self._get_value(key.encode())

    # --- what happens to it ------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Another process on the same data: it knows no scripts."""
        self._starts += 1
        self._known_scripts.clear()

    def lose(self, writes: int) -> int:
        """Forget the last writes, as a server does whose file or whose replica was behind; how many it were."""
        lost = self._journal[max(0, len(self._journal) - writes) :]
        del self._journal[len(self._journal) - len(lost) :]
        for undo in reversed(lost):
            for key, (value, expires) in undo.items():
                self._put_back(key, value, expires)
        return len(lost)

    def lose_everything(self) -> None:
        for key in list(self._data):
            self._put_back(key, None, None)
        self._journal.clear()

    def damage(self, key: str, field: str) -> None:
        """Flip a bit in the middle of a hash's field, as a bad disk does."""
        value = self._data[key.encode()]
        assert isinstance(value, dict)
        data = bytearray(value[field.encode()])
        data[len(data) // 2] ^= 1
        value[field.encode()] = bytes(data)

    def forget_scripts(self) -> None:
        self._known_scripts.clear()

    def _put_back(self, key: bytes, value: Value | None, expires: float | None) -> None:
        self._data.pop(key, None)
        self._expires.pop(key, None)
        if value is not None:
            self._data[key] = value
        if expires is not None:
            self._expires[key] = expires
        self.watch_loss(key, value)

    # --- carrying out ------------------------------------------------------------------------------------------------

    def _call(self, words: list[bytes]) -> Reply:
        name = words[0].decode().lower()
        if name not in _COMMANDS:
            raise ResponseError(f"unknown command '{name}'")
        method, writes, grows = _COMMANDS[name]
        if writes and self.read_only:
            raise error_of("READONLY You can't write against a read only replica.")
        # A script that has written already may go on: it cannot be stopped in the middle.
        if grows and self.full and not (self._in_script and self._undo):
            raise error_of("OOM command not allowed when used memory > 'maxmemory'.")
        reply = method(self, *words[1:])
        if writes:
            self.watch(name, words[1], tuple(words[2:]))
        return reply

    def _get_value(self, key: bytes) -> Value | None:
        expires = self._expires.get(key)
        if expires is not None and expires <= self._now_s():
            del self._data[key], self._expires[key]
        return self._data.get(key)

    def _set_value(self, key: bytes, value: Value | None) -> None:
        """Give a key another value, and keep the one before; an empty one is none."""
        before = self._get_value(key)
        if key not in self._undo:
            kept = before.copy() if isinstance(before, list | dict | set) else before
            self._undo[key] = (kept, self._expires.get(key))
        if value is None or (not value and not isinstance(value, bytes)):
            self._data.pop(key, None)
            self._expires.pop(key, None)
        else:
            self._data[key] = value

    def _typed(self, key: bytes, kind: type[Any]) -> Any:
        """A copy of a key's value, or an empty one."""
        value = self._get_value(key)
        if value is None:
            return kind()
        if not isinstance(value, kind):
            raise ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
        return value if isinstance(value, bytes) else value.copy()

    # --- the server --------------------------------------------------------------------------------------------------

    @_command()
    def _ping(self) -> Reply:
        return Status(b"PONG")

    @_command()
    def _info(self, *_: bytes) -> Reply:
        facts = {
            "server_name": "valkey",
            "valkey_version": "9.1.2",
            "run_id": self.run_id,
            "role": "slave" if self.read_only else "master",
            "aof_enabled": "1",
            "cluster_enabled": "0",
            "maxmemory_policy": "noeviction",
        }
        return "".join(f"{name}:{value}\r\n" for name, value in facts.items()).encode()

    @_command()
    def _config(self, *_: bytes) -> Reply:
        return [b"appendfsync", b"always"]

    @_command()
    def _time(self) -> Reply:
        now = self._now_s()
        return [b"%d" % int(now), b"%d" % int(now % 1 * 1e6)]

    @_command()
    def _evalsha(self, sha: bytes, *rest: bytes) -> Reply:
        if sha not in self._known_scripts:
            raise error_of("NOSCRIPT No matching script. Please use EVAL.")
        return self._run(self._known_scripts[sha], *rest)

    @_command()
    def _eval(self, text: bytes, *rest: bytes) -> Reply:
        self._known_scripts[hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()] = text
        return self._run(text, *rest)

    def _run(self, text: bytes, num_keys: bytes, *rest: bytes) -> Reply:
        self._in_script = True
        try:
            return self._scripts.run(text, rest[: int(num_keys)], rest[int(num_keys) :])
        finally:
            self._in_script = False

    # --- keys --------------------------------------------------------------------------------------------------------

    @_command()
    def _exists(self, *keys: bytes) -> Reply:
        return sum(self._get_value(key) is not None for key in keys)

    @_command(writes=True)
    def _del(self, *keys: bytes) -> Reply:
        there = [key for key in keys if self._get_value(key) is not None]
        for key in there:
            self._set_value(key, None)
        return len(there)

    _COMMANDS["unlink"] = _COMMANDS["del"]

    @_command(writes=True)
    def _pexpire(self, key: bytes, milliseconds: bytes) -> Reply:
        value = self._get_value(key)
        if value is None:
            return 0
        self._set_value(key, value)
        self._expires[key] = self._now_s() + int(milliseconds) / 1000
        return 1

    @_command(writes=True)
    def _persist(self, key: bytes) -> Reply:
        value = self._get_value(key)
        if value is None or key not in self._expires:
            return 0
        self._set_value(key, value)
        del self._expires[key]
        return 1

    @_command()
    def _pttl(self, key: bytes) -> Reply:
        if self._get_value(key) is None:
            return -2
        expires = self._expires.get(key)
        return -1 if expires is None else round((expires - self._now_s()) * 1000)

    # --- strings -----------------------------------------------------------------------------------------------------

    @_command()
    def _get(self, key: bytes) -> Reply:
        return None if self._get_value(key) is None else self._typed(key, bytes)

    @_command()
    def _mget(self, *keys: bytes) -> Reply:
        values = [self._get_value(key) for key in keys]
        return [value if isinstance(value, bytes) else None for value in values]

    @_command(grows=True)
    def _set(self, key: bytes, value: bytes, *options: bytes) -> Reply:
        words = [option.upper() for option in options]
        there = self._get_value(key) is not None
        if (b"NX" in words and there) or (b"XX" in words and not there):
            return None
        self._set_value(key, value)
        self._expires.pop(key, None)
        if b"PX" in words:
            self._expires[key] = self._now_s() + int(words[words.index(b"PX") + 1]) / 1000
        return _OK

    @_command(grows=True)
    def _incr(self, key: bytes) -> Reply:
        number = int(self._typed(key, bytes) or b"0") + 1
        self._set_value(key, b"%d" % number)
        return number

    # --- lists -------------------------------------------------------------------------------------------------------

    @_command(grows=True)
    def _rpush(self, key: bytes, *values: bytes) -> Reply:
        now = [*self._typed(key, list), *values]
        self._set_value(key, now)
        return len(now)

    @_command()
    def _llen(self, key: bytes) -> Reply:
        return len(self._typed(key, list))

    @_command()
    def _lindex(self, key: bytes, index: bytes) -> Reply:
        values, at = self._typed(key, list), int(index)
        return values[at] if -len(values) <= at < len(values) else None

    @_command()
    def _lrange(self, key: bytes, start: bytes, stop: bytes) -> Reply:
        values = self._typed(key, list)
        return values[_span(start, stop, len(values))]

    @_command(writes=True)
    def _ltrim(self, key: bytes, start: bytes, stop: bytes) -> Reply:
        values = self._typed(key, list)
        self._set_value(key, values[_span(start, stop, len(values))])
        return _OK

    # --- hashes ------------------------------------------------------------------------------------------------------

    @_command(grows=True)
    def _hset(self, key: bytes, *pairs: bytes) -> Reply:
        now = self._typed(key, dict)
        before = len(now)
        now.update(zip(pairs[::2], pairs[1::2], strict=True))
        self._set_value(key, now)
        return len(now) - before

    @_command(grows=True)
    def _hsetnx(self, key: bytes, field: bytes, value: bytes) -> Reply:
        return 0 if field in self._typed(key, dict) else self._hset(key, field, value)

    @_command(writes=True)
    def _hdel(self, key: bytes, *fields: bytes) -> Reply:
        now = self._typed(key, dict)
        there = [field for field in dict.fromkeys(fields) if field in now]
        for field in there:
            del now[field]
        if there:
            self._set_value(key, now)
        return len(there)

    @_command()
    def _hget(self, key: bytes, field: bytes) -> Reply:
        return self._typed(key, dict).get(field)

    @_command()
    def _hmget(self, key: bytes, *fields: bytes) -> Reply:
        there = self._typed(key, dict)
        return [there.get(field) for field in fields]

    @_command()
    def _hgetall(self, key: bytes) -> Reply:
        return [part for pair in self._typed(key, dict).items() for part in pair]

    @_command()
    def _hexists(self, key: bytes, field: bytes) -> Reply:
        return int(field in self._typed(key, dict))

    @_command()
    def _hlen(self, key: bytes) -> Reply:
        return len(self._typed(key, dict))

    # --- sorted sets, all of whose scores are the same ---------------------------------------------------------------

    @_command(grows=True)
    def _zadd(self, key: bytes, *pairs: bytes) -> Reply:
        if any(float(score) for score in pairs[::2]):
            raise ResponseError("this server knows no score but 0")
        now = self._typed(key, set)
        before = len(now)
        now.update(pairs[1::2])
        self._set_value(key, now)
        return len(now) - before

    @_command(writes=True)
    def _zrem(self, key: bytes, *members: bytes) -> Reply:
        now = self._typed(key, set)
        before = len(now)
        now.difference_update(members)
        if len(now) != before:
            self._set_value(key, now)
        return before - len(now)

    @_command()
    def _zcard(self, key: bytes) -> Reply:
        return len(self._typed(key, set))

    @_command()
    def _zscore(self, key: bytes, member: bytes) -> Reply:
        return b"0" if member in self._typed(key, set) else None

    @_command()
    def _zrangebylex(self, key: bytes, low: bytes, high: bytes, *limit: bytes) -> Reply:
        if high != b"+" or low[:1] not in (b"-", b"(", b"["):
            raise ResponseError("this server knows no other range than from somewhere to the end")
        after = low[1:]
        members = sorted(self._typed(key, set))
        if low != b"-":
            members = [each for each in members if each > after or (low[:1] == b"[" and each == after)]
        if limit:
            offset, count = int(limit[1]), int(limit[2])
            members = members[offset : offset + count if count >= 0 else None]
        return members


def _span(start: bytes, stop: bytes, length: int) -> slice:
    """Redis's inclusive ends, counted from the end where negative."""
    first, last = int(start), int(stop)
    first = max(0, first + length) if first < 0 else first
    last = last + length if last < 0 else last
    return slice(first, max(first, last + 1))


def _bytes(word: str | bytes | int | float) -> bytes:
    if isinstance(word, bytes):
        return word
    return word.encode() if isinstance(word, str) else str(word).encode()


__all__ = ["MemoryServer", "Value"]
