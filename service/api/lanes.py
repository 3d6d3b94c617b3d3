"""Lanes: one a stream, in which what a connection has sent for it waits for its turn.

A lane hands over what has gathered in it, waits for the answers, delivers them, and so keeps a stream's answers in
order, while the streams of a connection do not wait for each other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from service import clock
from service.api import frames
from service.api.answering import problem_members
from service.api.frames import LabelFrame, SampleFrame
from service.api.seam import Host
from service.messages import LabelResult, ProblemItem, SampleResult
from service.problems import Problem

log = structlog.get_logger(__name__)

#: Messages of one stream that are handed over at once.
MAX_RUN = 64
#: Refusals for want of room: certainly nothing was applied, and there may be room later.
NO_ROOM = frozenset({"overloaded", "rate_limited"})


@dataclass(frozen=True, slots=True)
class Refused:
    """In a lane, in place of a message that could not be read: its answer must not overtake those before it."""

    seq: int | None
    problem: Problem


Entry = SampleFrame | LabelFrame | Refused
Answer = dict[str, Any]
Deliver = Callable[[Answer], Awaitable[None]]


class Lanes:
    """The lanes of one connection.

    Parameters
    ----------
    request_id
        Of the connection; every problem names it.
    patience_s
        How long an entry waits in its lane for room in the server before it is refused.
    """

    def __init__(self, host: Host, request_id: str, *, patience_s: float = 0.0) -> None:
        self._host = host
        self._request_id = request_id
        self._patience_s = patience_s
        self._lanes: dict[str, deque[tuple[Entry, Deliver]]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._stopped = False

    def put(self, stream: str | None, entry: Entry, deliver: Deliver) -> None:
        """Queue an entry behind the stream's others; `deliver` gets its answer, a `result` or a `nack`."""
        name = stream or ""
        if name in self._lanes:
            self._lanes[name].append((entry, deliver))
            return
        self._lanes[name] = deque([(entry, deliver)])
        worker = asyncio.create_task(self._work(name))
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    def stop(self) -> None:
        """Hand over nothing more: nobody is there for the answers. What was handed over goes on."""
        self._stopped = True

    async def finish(self) -> None:
        """Wait until every entry has its answer, or, after `stop`, until what was handed over is done."""
        while self._workers:
            await asyncio.wait(self._workers)

    async def _work(self, stream: str) -> None:
        """Hand over and answer what is in a lane until it is empty."""
        lane = self._lanes[stream]
        try:
            while lane and not self._stopped:
                run = [lane.popleft()]
                while lane and len(run) < MAX_RUN and type(lane[0][0]) is type(run[0][0]):
                    run.append(lane.popleft())
                answers = await self._answers(stream, [entry for entry, _ in run])
                for (_, deliver), answer in zip(run, answers, strict=True):
                    await deliver(answer)
        finally:
            del self._lanes[stream]

    async def _answers(self, stream: str, run: list[Entry]) -> list[Answer]:
        try:
            outcomes = await self._submit_patiently(stream, run)
        except Problem as problem:
            outcomes = [ProblemItem(problem=problem.as_dict())] * len(run)
        except Exception as error:
            log.error("internal_error", exc_info=error)
            bug = Problem("internal", "this is a bug; the server's log has more under this connection's id.")
            outcomes = [ProblemItem(problem=bug.as_dict())] * len(run)
        return [self._answer(stream, entry, outcome) for entry, outcome in zip(run, outcomes, strict=True)]

    async def _submit_patiently(self, stream: str, run: list[Entry]) -> list[SampleResult | LabelResult | ProblemItem]:
        give_up_at = clock.now() + self._patience_s
        while True:
            try:
                return await self._submit(stream, run)
            except Problem as problem:
                pause = problem.retry_after_s or 0.0
                if problem.code not in NO_ROOM or self._stopped or clock.now() + pause > give_up_at:
                    raise
            await asyncio.sleep(pause)

    async def _submit(self, stream: str, run: list[Entry]) -> list[SampleResult | LabelResult | ProblemItem]:
        samples = [entry for entry in run if isinstance(entry, SampleFrame)]
        if samples:
            return list(await self._host.submit_samples(stream, samples))
        labels = [entry for entry in run if isinstance(entry, LabelFrame)]
        if labels:
            return list(await self._host.submit_labels(stream, labels))
        return [ProblemItem(problem=entry.problem.as_dict()) for entry in run if isinstance(entry, Refused)]

    def _answer(self, stream: str, entry: Entry, outcome: SampleResult | LabelResult | ProblemItem) -> Answer:
        if isinstance(outcome, ProblemItem):
            return frames.nack(entry, stream or None, entry.seq, problem_members(outcome.problem, self._request_id))
        return frames.result(stream, outcome)


__all__ = ["MAX_RUN", "NO_ROOM", "Answer", "Deliver", "Entry", "Lanes", "Refused"]
