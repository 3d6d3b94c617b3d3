"""The way to the store: what redis-py is to the service, over a network on which calls have fates."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.simulation.faults import Fate, Fates
from tests.simulation.loop import Process
from tests.simulation.lua import Status
from tests.simulation.memory_server import MemoryServer

Words = Sequence[str | bytes | int]


class Machine:
    """The store's server as a process that callers reach, or do not."""

    def __init__(self, server: MemoryServer, process: Process) -> None:
        self.server = server
        self.process = process
        #: Nobody listens.
        self.down = False
        #: How often it went down: what was on its way to it by then is lost.
        self._downs = 0
        #: Calls whose callers wait.
        self._open: dict[asyncio.Future[Any], Process] = {}

    def go_down(self) -> None:
        self.down = True
        self._downs += 1
        self._break_connections()

    def _break_connections(self) -> None:
        for reply, caller in list(self._open.items()):
            caller.call_later(1e-6, _fail, reply, RedisConnectionError("Connection closed by server."))
        self._open.clear()

    async def exchange(self, caller: Process, commands: Sequence[Words], fate: Fate, timeout_s: float) -> list[Any]:
        """Send commands and wait for their replies; a refused one's is the exception."""
        loop = asyncio.get_running_loop()
        if self.down:
            await asyncio.sleep(fate.there_s)
            raise RedisConnectionError("Error 111 connecting to the store. Connection refused.")
        reply: asyncio.Future[list[Any]] = loop.create_future()
        if not fate.request_lost:
            self.process.call_later(fate.there_s, self._serve, self._downs, caller, commands, fate, reply)
        if fate.breaks:
            caller.call_later(fate.back_s, _fail, reply, RedisConnectionError("Connection closed by server."))
        self._open[reply] = caller
        try:
            async with asyncio.timeout(timeout_s):
                return await reply
        except TimeoutError:
            raise RedisTimeoutError("Timeout reading from the store") from None
        finally:
            self._open.pop(reply, None)

    def _serve(
        self, downs: int, caller: Process, commands: Sequence[Words], fate: Fate, reply: asyncio.Future[list[Any]]
    ) -> None:
        if self._downs != downs:
            return
        replies: list[Any] = []
        for command in commands:
            try:
                replies.append(self.server.execute(*command))
            except RedisError as error:
                replies.append(error)
        if not fate.reply_lost:
            caller.call_later(fate.back_s, _answer, reply, replies)


class Client:
    """As much of redis-py's client as the store uses, of one process."""

    def __init__(self, machine: Machine, caller: Process, fates: Fates, timeout_s: float) -> None:
        self._machine = machine
        self._caller = caller
        self._fates = fates
        self._timeout_s = timeout_s

    async def execute_command(self, *command: Any) -> Any:
        (reply,) = await self.exchange([command])
        if isinstance(reply, RedisError):
            raise reply
        return True if reply == b"OK" and isinstance(reply, Status) else reply

    async def exchange(self, commands: Sequence[Words]) -> list[Any]:
        return await self._machine.exchange(self._caller, commands, self._fates.draw(), self._timeout_s)

    def pipeline(self, *, transaction: bool) -> Pipeline:
        assert not transaction
        return Pipeline(self)

    async def aclose(self) -> None:
        pass


class Pipeline:
    """Commands that are sent together."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._commands: list[Words] = []

    def execute_command(self, *command: Any) -> None:
        self._commands.append(command)

    async def execute(self) -> list[Any]:
        replies = await self._client.exchange(self._commands)
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        return replies


def _answer(reply: asyncio.Future[Any], value: Any) -> None:
    if not reply.done():
        reply.set_result(value)


def _fail(reply: asyncio.Future[Any], error: Exception) -> None:
    if not reply.done():
        reply.set_exception(error)


__all__ = ["Client", "Machine"]
