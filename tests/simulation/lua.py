"""Lua 5.1 as Redis runs it: the real scripts, with Redis's conversions between Lua's values and its own."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from lupa import lua51
from redis.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError, ResponseError

#: A reply as a client gets it: bytes, a whole number, nothing, or a list of these.
Reply = bytes | int | None | list[Any]
Call = Callable[[list[bytes]], Any]


#: Errors by the code that the server sends, which redis-py turns into a class and leaves out of the text.
_CODES: dict[str, type[ResponseError]] = {
    "NOSCRIPT": NoScriptError,
    "OOM": OutOfMemoryError,
    "READONLY": ReadOnlyError,
}


def error_of(text: str) -> ResponseError:
    """An error that a server sends, as redis-py raises it."""
    code, _, rest = text.partition(" ")
    return _CODES[code](rest) if code in _CODES else ResponseError(text.removeprefix("ERR "))


def text_of(error: ResponseError) -> str:
    """What a server sends of an error."""
    code = next((code for code, kind in _CODES.items() if type(error) is kind), "")
    return f"{code} {error}".lstrip() if code or str(error).split(" ")[0].isupper() else f"ERR {error}"


class Status(bytes):
    """A status reply such as OK, which Lua gets as a table."""


class Scripts:
    """A Lua state, in which any number of scripts run one after the other.

    Parameters
    ----------
    call
        Carries out a command for ``redis.call``: returns its reply or raises `ResponseError`.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._lua = lua51.LuaRuntime(
            encoding=None, register_eval=False, register_builtins=False, unpack_returned_tuples=True
        )
        self._raised: ResponseError | None = None
        self._compile = cache(self._lua.compile)
        names = self._lua.globals()
        names[b"redis"] = self._table(
            call=self._redis_call,
            pcall=self._redis_pcall,
            error_reply=lambda text: self._table(err=text),
            status_reply=lambda text: self._table(ok=text),
        )
        names[b"struct"] = self._table(pack=_pack, unpack=_unpack)

    def run(self, text: bytes, keys: Sequence[bytes], args: Sequence[bytes]) -> Reply:
        """Run a script; raises the `ResponseError` that the server would answer with."""
        names = self._lua.globals()
        names[b"KEYS"], names[b"ARGV"] = self._lua.table_from(keys), self._lua.table_from(args)
        self._raised = None
        try:
            return self._to_reply(self._compile(text)())
        except lua51.LuaError as error:
            if self._raised is not None:
                raise self._raised from None
            raise ResponseError(f"ERR {error}") from error

    def _redis_call(self, *arguments: Any) -> Any:
        try:
            return self._to_lua(self._call([_argument(value) for value in arguments]))
        except ResponseError as error:
            self._raised = error
            # Ends the script where it is, as an uncaught error in Lua does.
            raise lua51.LuaError(str(error)) from error

    def _redis_pcall(self, *arguments: Any) -> Any:
        try:
            return self._to_lua(self._call([_argument(value) for value in arguments]))
        except ResponseError as error:
            return self._table(err=text_of(error).encode())

    def _table(self, **members: Any) -> Any:
        return self._lua.table_from({name.encode(): value for name, value in members.items()})

    def _to_lua(self, reply: Any) -> Any:
        if reply is None:
            return False
        if isinstance(reply, Status):
            return self._table(ok=bytes(reply))
        if isinstance(reply, list):
            return self._lua.table_from([self._to_lua(value) for value in reply])
        return reply

    def _to_reply(self, value: Any) -> Reply:
        if value is None or value is False:
            return None
        if value is True:
            return 1
        if isinstance(value, int | float):
            return int(value)
        if isinstance(value, bytes):
            return value
        if isinstance(value, tuple):  # of several values that a script returns the first counts
            return self._to_reply(value[0])
        error, status = value[b"err"], value[b"ok"]
        if error is not None:
            raise error_of(error.decode())
        if status is not None:
            return Status(status)
        replies: list[Any] = []
        while (item := value[len(replies) + 1]) is not None:  # Redis, too, stops at the first nil
            replies.append(self._to_reply(item))
        return replies


def _argument(value: Any) -> bytes:
    """An argument of ``redis.call`` as bytes."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ResponseError("ERR Lua redis lib command arguments must be strings or integers")
    return f"{value:.17g}".encode()


_UNSIGNED = {"1": "B", "2": "H", "4": "I", "8": "Q"}


@cache
def _layout(format_: bytes) -> struct.Struct:
    """Python's name for a format of Lua's struct library: little-endian unsigned integers and doubles."""
    return struct.Struct(re.sub(r"I([1248])", lambda match: _UNSIGNED[match[1]], format_.decode()))


def _unpack(format_: bytes, data: bytes, start: int = 1) -> tuple[int | float, ...]:
    """``struct.unpack``: the values, and where the next one begins."""
    layout = _layout(format_)
    if len(data) < start - 1 + layout.size:
        raise lua51.LuaError("data string too short")
    return *layout.unpack_from(data, start - 1), start + layout.size


def _pack(format_: bytes, *values: float) -> bytes:
    return _layout(format_).pack(*map(int, values))


__all__ = ["Reply", "Scripts", "Status", "error_of", "text_of"]
