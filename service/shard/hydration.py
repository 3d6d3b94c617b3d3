"""Hydration: streams come from the store into memory, many at a time.

Whoever touches a stream that is not in memory waits here. Streams that are asked for at the same moment are read in
one call to the store and replayed beside each other. Those that nobody waits for (`service.shard.warm_up`) have their
turn when there are no others, and push nobody out.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from service import clock
from service.metrics import Metrics
from service.problems import Problem
from service.shard.loading import Loader
from service.shard.models import RoomFull
from service.shard.streams import HotStream

log = structlog.get_logger(__name__)

#: Streams that are read together.
MAX_TOGETHER = 32
#: Idle streams that are read together: whoever touches a stream meanwhile waits for them.
MAX_IDLE_TOGETHER = 8
#: Groups on their way at a time, one of idle streams at most: while the engine replays one, the next one is read.
MAX_GROUPS = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """A stream that is waited for."""

    arrived: asyncio.Future[HotStream]
    asked_at: float


Queue = OrderedDict[str, Wanted]


class Hydration:
    """Brings streams in.

    Parameters
    ----------
    make_room
        Called with a number of bytes where there is no room; returns when some has been made.
    """

    def __init__(self, loader: Loader, metrics: Metrics, make_room: Callable[[int], Awaitable[None]]) -> None:
        self._loader = loader
        self._metrics = metrics
        self._make_room = make_room
        self._touched: Queue = OrderedDict()
        self._idle: Queue = OrderedDict()
        self._groups: set[asyncio.Task[None]] = set()
        #: Whether a group of idle streams is on its way.
        self._is_idling = False
        self._closed = False

    async def bring(self, stream_id: str, *, idle: bool = False) -> HotStream:
        """The stream, read and replayed. It may be asked for once at a time.

        Parameters
        ----------
        idle
            Nobody waits for it: it comes after all others, and only where there is room.

        Raises
        ------
        Problem
            ``stream_not_found``; ``stream_outdated``; ``internal`` where what is stored cannot be read;
            ``engine_unavailable``; ``overloaded`` where no room can be made.
        RoomFull
            It is idle, and there is no room.
        """
        if self._closed:
            raise _stopping()
        wanted = Wanted(asyncio.get_running_loop().create_future(), clock.now())
        (self._idle if idle else self._touched)[stream_id] = wanted
        if len(self._groups) < MAX_GROUPS:
            group = asyncio.create_task(self._work(), name="hydration")
            self._groups.add(group)
            group.add_done_callback(self._groups.discard)
        return await wanted.arrived

    def hurry(self, stream_id: str) -> None:
        """Somebody waits now for a stream that was asked for as idle."""
        wanted = self._idle.pop(stream_id, None)
        if wanted is not None:
            self._touched[stream_id] = wanted

    async def close(self) -> None:
        """Bring nothing more; who waits is told."""
        self._closed = True
        groups = list(self._groups)
        for group in groups:
            group.cancel()
        await asyncio.gather(*groups, return_exceptions=True)
        for queue in (self._touched, self._idle):
            while queue:
                _answer(queue.popitem()[1], _stopping())

    async def _work(self) -> None:
        """Group after group, until nothing is wanted any more."""
        while True:
            if self._touched:
                await self._bring_group(_first(self._touched, MAX_TOGETHER), idle=False)
            elif self._idle and not self._is_idling:
                self._is_idling = True
                try:
                    await self._bring_group(_first(self._idle, MAX_IDLE_TOGETHER), idle=True)
                finally:
                    self._is_idling = False
            else:
                return

    async def _bring_group(self, group: dict[str, Wanted], *, idle: bool) -> None:
        try:
            await self._load_group(group, idle=idle)
        except asyncio.CancelledError:
            for wanted in group.values():
                _answer(wanted, _stopping())
            raise
        except Exception as error:
            for wanted in group.values():
                _answer(wanted, error)

    async def _load_group(self, group: dict[str, Wanted], *, idle: bool) -> None:
        def deliver(stream_id: str, outcome: HotStream | Exception) -> None:
            if isinstance(outcome, HotStream):
                self._count(outcome, clock.now() - group[stream_id].asked_at)
            _answer(group[stream_id], outcome)

        left = await self._loader.read(list(group), deliver)
        while left:
            left, needed = await self._loader.load(left, deliver)
            if left and idle:
                raise RoomFull(needed)
            if left:
                await self._make_room(needed)

    def _count(self, stream: HotStream, took: float) -> None:
        self._metrics.hydrations.inc()
        self._metrics.hydration_duration_seconds.observe(took)
        if stream.replay_length:
            self._metrics.replay_entries.inc(stream.replay_length)
            self._metrics.replay_duration_seconds.observe(took)
        log.debug("stream_hydrated", stream_id=stream.id, replayed=stream.replay_length, seconds=round(took, 4))


def _first(queue: Queue, most: int) -> dict[str, Wanted]:
    return dict(queue.popitem(last=False) for _ in range(min(most, len(queue))))


def _answer(wanted: Wanted, outcome: HotStream | Exception) -> None:
    if wanted.arrived.done():
        return
    if isinstance(outcome, HotStream):
        wanted.arrived.set_result(outcome)
    else:
        wanted.arrived.set_exception(outcome)


def _stopping() -> Problem:
    return Problem("draining", "the server is stopping; send again.", retry_after_s=1.0)


__all__ = ["MAX_GROUPS", "MAX_TOGETHER", "Hydration"]
