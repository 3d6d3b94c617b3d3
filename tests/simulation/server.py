"""A server: a real `StreamHost` in a process that can crash or freeze, and the network between it and its clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

from service.metrics import Metrics
from service.problems import Problem
from service.settings import Settings
from service.shard.engine_choice import choose_engine
from service.shard.host import StreamHost
from service.store import StreamStore
from tests.simulation.loop import Process


class Unreachable(Exception):  # noqa: N818 - as the literature has it
    """No answer: nobody listens, the connection broke, or it took too long. What was asked may have been done."""


class Server:
    """One start of the service.

    Parameters
    ----------
    open_store
        Connects to the store, from within the process.
    delay_s
        Draws how long a message takes.
    on_failure
        Told of what no client may ever see.
    """

    def __init__(
        self,
        process: Process,
        settings: Settings,
        open_store: Callable[[Process], Any],
        delay_s: Callable[[], float],
        on_failure: Callable[[str], None],
    ) -> None:
        self.process = process
        self._settings = settings
        self._open_store = open_store
        self._delay_s = delay_s
        self._on_failure = on_failure
        self._host: StreamHost | None = None
        self._waiting: dict[asyncio.Future[Any], Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.started = process.spawn(self._start())
        process.at_end(self._break_connections)

    async def _start(self) -> None:
        store: StreamStore = await self._open_store(self.process)
        host = StreamHost(self._settings, store, _metrics(), choose_engine("auto"))
        await host.start()
        self._host = host

    @property
    def serves(self) -> bool:
        """Whether it has begun to, and has not ended."""
        return self._host is not None and not self.process.ended

    @property
    def owns(self) -> bool:
        """Whether it says of itself that the streams are its own."""
        return self._host is not None and not any("standby" in why for why in self._host.readiness().reasons)

    async def drain(self) -> None:
        """Ask it to stop in good order; it ends then."""
        if self._host is not None:
            await self.process.spawn(self._host.drain())
        self.process.end()

    async def call(self, client: Process, timeout_s: float, method: str, *args: Any) -> Any:
        """What a method of the host gives, or the `Problem` that it raises; raises `Unreachable`."""
        if self._host is None or self.process.ended:
            await asyncio.sleep(self._delay_s())
            raise Unreachable(self.process.name)
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[reply] = client
        self.process.call_later(self._delay_s(), self._receive, client, reply, method, args)
        try:
            async with asyncio.timeout(timeout_s):
                return await reply
        except TimeoutError:
            raise Unreachable(self.process.name) from None
        finally:
            self._waiting.pop(reply, None)

    def _receive(self, client: Process, reply: asyncio.Future[Any], method: str, args: tuple[Any, ...]) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(client, reply, method, args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, client: Process, reply: asyncio.Future[Any], method: str, args: tuple[Any, ...]) -> None:
        answer: Any
        try:
            answer = await attrgetter(method)(self._host)(*args)
        except Problem as problem:
            answer = problem
        except Exception as error:
            self._on_failure(f"{method} raised {error!r}")
            answer = Problem("internal", str(error))
        client.call_later(self._delay_s(), _settle, reply, answer)

    def _break_connections(self) -> None:
        for reply, client in self._waiting.items():
            client.call_later(self._delay_s(), _break, reply, self.process.name)


@cache
def _metrics() -> Metrics:
    """All servers count into one set of metrics: to make one takes as long as a dozen micro-batches."""
    return Metrics()


def _settle(reply: asyncio.Future[Any], answer: Any) -> None:
    if not reply.done():
        reply.set_result(answer)


def _break(reply: asyncio.Future[Any], name: str) -> None:
    if not reply.done():
        reply.set_exception(Unreachable(name))


__all__ = ["Server", "Unreachable"]
