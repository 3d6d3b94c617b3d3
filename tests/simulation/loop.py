"""An event loop of virtual time, and processes on it that can be held up or ended between any two callbacks.

Nothing waits: where a real loop would sleep until its next timer, this one sets its clock there. So an hour passes in
no time, and the same program with the same random numbers takes the same steps every time.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")
Context = contextvars.Context

_CURRENT: contextvars.ContextVar[Process] = contextvars.ContextVar("process")


class NothingWillHappen(RuntimeError):  # noqa: N818 - a state of the loop
    """Everybody waits for somebody else, and no timer is set."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time is what its timers say.

    Parameters
    ----------
    work_s
        Draws how long a piece of work in a thread takes; threads are imitated, each executor's work in its order.
    """

    def __init__(self, work_s: Callable[[], float]) -> None:
        self._now = 0.0
        self._work_s = work_s
        self._busy_until: dict[Executor, float] = {}
        super().__init__(_Jumping(self._jump))

    def time(self) -> float:
        return self._now

    def _jump(self, timeout: float | None) -> None:
        if timeout is None:
            raise NothingWillHappen("every task waits, and no timer is set")
        self._now += timeout

    def call_soon(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        call = _Call(callback, args, context)
        call.handle = super().call_soon(call, context=call.context)
        return call.handle

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        call = _Call(callback, args, context)
        call.handle = timer = super().call_at(when, call, context=call.context)
        return timer

    # There are no other threads, so there is nobody to wake the selector for.
    call_soon_threadsafe = call_soon

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], Result], *args: *Arguments
    ) -> asyncio.Future[Result]:
        """Do `func` later, as a thread would: not before what was given to the same executor earlier."""
        future: asyncio.Future[Result] = self.create_future()
        ends = self._work_s() + (self._now if executor is None else max(self._now, self._busy_until.get(executor, 0.0)))
        if executor is not None:
            self._busy_until[executor] = ends

        def work() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except BaseException as error:
                future.set_exception(error)

        self.call_at(ends, work)
        return future


class Process:
    """Tasks that stop, go on and end together, like those of an operating system's process.

    Whatever is started in its context belongs to it, with all that this starts in turn. While it is held up its
    callbacks gather, and run when it goes on, at the time that it is by then. When it has ended they never run: no
    `finally` and no `except` of it will, just as with SIGKILL.
    """

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.name = name
        self.ended = False
        self._loop = loop
        self._held: list[_Call] | None = None
        self._callbacks_left: int | None = None
        self._at_end: list[Callable[[], None]] = []
        self.context = contextvars.copy_context()
        self.context.run(_CURRENT.set, self)

    @property
    def running(self) -> bool:
        return self._held is None

    def spawn(self, coroutine: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run a coroutine as a part of this process."""
        return self._loop.create_task(coroutine, context=self.context.copy())

    def call_later(self, delay_s: float, callback: Callable[[*Arguments], object], *args: *Arguments) -> None:
        """Have something done in this process."""
        self._loop.call_later(delay_s, callback, *args, context=self.context.copy())

    def pause(self) -> None:
        if self._held is None:
            self._held = []

    def resume(self) -> None:
        if self.ended or self._held is None:
            return
        held, self._held = self._held, None
        for call in held:
            self._loop.call_soon(call, context=call.context)

    def end(self) -> None:
        """End it here and now."""
        if not self.ended:
            self.ended = True
            self.pause()
            for tell in self._at_end:
                tell()

    def end_after(self, callbacks: int) -> None:
        """End it before its next-but-so-many callback, which is between any two that it runs."""
        self._callbacks_left = callbacks

    def at_end(self, tell: Callable[[], None]) -> None:
        """Call `tell` when it ends."""
        self._at_end.append(tell)

    def clear_away(self) -> None:
        """After the experiment: let everything run that was held, so that its tasks can be cancelled in order."""
        self.ended = False
        self._callbacks_left = None
        self.resume()

    def holds(self, call: _Call) -> bool:
        """Whether a callback has to wait, for it is this process's turn no more."""
        if self._held is None and self._callbacks_left is not None:
            self._callbacks_left -= 1
            if self._callbacks_left < 0:
                self.end()
        if self._held is None:
            return False
        self._held.append(call)
        return True


class _Call:
    """A callback that asks its process whether it may run."""

    __slots__ = ("args", "callback", "context", "handle", "process")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None) -> None:
        self.callback = callback
        self.args = args
        self.context = context if context is not None else contextvars.copy_context()
        self.process = self.context.get(_CURRENT)
        self.handle: asyncio.Handle | None = None

    def __call__(self) -> None:
        # One that was cancelled after it was held up must not run when it goes on.
        if self.handle is not None and self.handle.cancelled():
            return
        if self.process is None or not self.process.holds(self):
            self.callback(*self.args)


class _Jumping(selectors.SelectSelector):
    """A selector that hears of nothing and lets time pass instead."""

    def __init__(self, jump: Callable[[float | None], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._jump(timeout)
        return []


def exponential(random_: random.Random, mean: float) -> float:
    """A waiting time that is mostly short and sometimes long; never nothing, so that causes come before effects."""
    return 1e-6 + random_.expovariate(1.0 / mean)


__all__ = ["NothingWillHappen", "Process", "VirtualLoop", "exponential"]
