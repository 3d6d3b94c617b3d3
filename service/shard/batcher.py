"""The batcher: what waits to be stepped, and the next micro-batch of it.

There is no fixed delay: while the engine works on one micro-batch the next one gathers here. Streams take turns, each
with an equal share of the micro-batch and a few records at most, so that a thousand samples of one stream do not stand
in everybody's way, nor the samples of a thousand streams in one's; a stream's own records stay in their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from service import clock
from service.fairness import objection
from service.messages import LabelIn, LabelResult, ProblemItem, SampleIn, SampleResult
from service.problems import Problem
from service.shard.commands import Applied, Command
from service.shard.streams import HotStream

#: Records of one stream in one micro-batch, if there is room for as many of every stream that waits.
MAX_PER_STREAM = 8

Item = SampleIn | LabelIn | Command
Outcome = SampleResult | LabelResult | Applied | ProblemItem


@dataclass(slots=True)
class Submission:
    """Records that one request brought for one stream."""

    stream: HotStream
    items: Sequence[Item]
    done: asyncio.Future[Sequence[Outcome]]
    #: When the caller stops waiting, on `service.clock`; kept up to the first item's turn, not beyond.
    deadline: float | None = None
    received_at: float = field(default_factory=clock.now)
    outcomes: list[Outcome] = field(default_factory=list)
    #: Items that have been handed to a micro-batch.
    taken: int = 0

    @property
    def is_command(self) -> bool:
        return isinstance(self.items[0], Command)

    def is_over(self, _: asyncio.Future[Sequence[Outcome]]) -> None:
        """It is answered: as far as it goes its stream may leave memory."""
        self.stream.under_way -= 1

    def settle(self, outcome: Outcome) -> None:
        """Add the outcome of the next item; the request is answered when all have one."""
        self.outcomes.append(outcome)
        if len(self.outcomes) == len(self.items) and not self.done.done():
            self.done.set_result(self.outcomes)

    def fail(self, problem: Problem) -> None:
        """Answer the whole request with `problem`; items that were not taken yet never will be."""
        self.taken = len(self.items)
        if not self.done.done():
            self.done.set_exception(problem)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One item of a micro-batch."""

    submission: Submission
    item: Item

    @property
    def stream(self) -> HotStream:
        return self.submission.stream


class Batcher:
    """Queues by stream, bounded in number and in waiting time.

    A stream that has nothing waiting may bring a request of any size, as long as there is room. One that has may have
    up to `max_pending_per_stream` waiting, and only its fair share once half of the room is taken: so the other half
    is there for whoever asks for little. What a caller has brought upon itself is ``rate_limited``, what others have
    is ``overloaded``.

    Parameters
    ----------
    max_batch_size
        Records in one micro-batch.
    max_pending
        Records that may wait in all.
    max_pending_per_stream
        Records of one stream that may wait before it can bring more.
    max_queue_delay_ms
        A request whose turn would come later than this is refused.
    max_replay
        A stream gets no more records than its log may have after its snapshot, so that there is one in time.
    """

    def __init__(
        self,
        *,
        max_batch_size: int,
        max_pending: int,
        max_pending_per_stream: int,
        max_queue_delay_ms: float,
        max_replay: int,
    ) -> None:
        self._max_batch_size = max_batch_size
        self._max_pending = max_pending
        self._max_pending_per_stream = max_pending_per_stream
        self._max_queue_delay_s = max_queue_delay_ms / 1000
        self._max_replay = max_replay
        self._queues: dict[str, deque[Submission]] = {}
        self._waiting: dict[str, int] = {}
        self._in_round = 0
        self._arrived = asyncio.Event()
        self._cycle_s = 0.0
        #: Records that wait.
        self.pending = 0
        self.closed = False

    def offer(self, submission: Submission) -> None:
        """Queue a submission, or raise `Problem` ``rate_limited``, ``overloaded`` or ``draining``."""
        if self.closed:
            raise Problem("draining", "the server is stopping; send again.", retry_after_s=1.0)
        stream_id = submission.stream.id
        self._check_room(stream_id, len(submission.items))
        self._check_delay(stream_id, submission.deadline)
        submission.stream.under_way += 1
        submission.done.add_done_callback(submission.is_over)
        self._queues.setdefault(stream_id, deque()).append(submission)
        self._set_waiting(stream_id, self._waiting.get(stream_id, 0) + len(submission.items))
        self._arrived.set()

    def _check_room(self, stream_id: str, count: int) -> None:
        own = self._waiting.get(stream_id, 0)
        if own and own + count > self._max_pending_per_stream:
            raise _rate_limited(self._expected_wait_s(own))
        code = objection(
            own=own,
            more=count,
            taken=self.pending,
            room=self._max_pending,
            sharers=len(self._queues) + (own == 0),
        )
        if code is not None:
            raise _REFUSALS[code](self._expected_wait_s(own))

    def _check_delay(self, stream_id: str, deadline: float | None) -> None:
        own = self._waiting.get(stream_id, 0)
        wait = self._expected_wait_s(own)
        longest = self._max_queue_delay_s
        if deadline is not None:
            longest = min(longest, deadline - clock.now())
        if wait > longest:
            raise (_overloaded if self._expected_wait_s(0) > longest else _rate_limited)(wait)

    async def wait(self) -> bool:
        """True as soon as anything waits; False when closed and drained."""
        while not self._queues:
            if self.closed:
                return False
            self._arrived.clear()
            await self._arrived.wait()
        return True

    def take(self) -> list[Waiting]:
        """The next micro-batch; empty where nothing waits."""
        batch: list[Waiting] = []
        turn = self._turn()
        for stream_id in list(self._queues):
            room = min(turn, self._max_batch_size - len(batch))
            if room <= 0:
                break
            batch += self._take(stream_id, room)
        return batch

    def _turn(self) -> int:
        """Records that each stream may have in the next micro-batch."""
        return min(MAX_PER_STREAM, max(1, self._max_batch_size // max(1, len(self._queues))))

    def _take(self, stream_id: str, room: int) -> list[Waiting]:
        queue = self._queues.pop(stream_id)
        room = min(room, max(1, self._max_replay - queue[0].stream.replay_length))
        taken: list[Waiting] = []
        given_up = 0
        while queue and len(taken) < room:
            submission = queue[0]
            if submission.taken == 0 and submission.deadline is not None and clock.now() > submission.deadline:
                given_up += len(submission.items)
                queue.popleft().fail(_too_late())
                continue
            if submission.is_command and taken:
                break  # it has a micro-batch for itself, see `service.shard.controls`
            items = submission.items[submission.taken : submission.taken + room - len(taken)]
            taken += [Waiting(submission, item) for item in items]
            submission.taken += len(items)
            if submission.taken == len(submission.items):
                queue.popleft()
            if submission.is_command:
                break
        if queue:
            self._queues[stream_id] = queue  # at the end: the others have their turn first
        self._set_waiting(stream_id, self._waiting[stream_id] - len(taken) - given_up)
        return taken

    def _set_waiting(self, stream_id: str, count: int) -> None:
        before = self._waiting.pop(stream_id, 0)
        if count:
            self._waiting[stream_id] = count
        self.pending += count - before
        self._in_round += min(count, MAX_PER_STREAM) - min(before, MAX_PER_STREAM)

    def forget(self, stream_id: str, problem: Problem) -> None:
        """Answer everything that waits for a stream with `problem`."""
        for submission in self._queues.pop(stream_id, ()):
            submission.fail(problem)
        self._set_waiting(stream_id, 0)

    def close(self) -> None:
        """Take nothing more; `wait` ends once the queues are empty."""
        self.closed = True
        self._arrived.set()

    def abort(self, problem: Problem) -> None:
        """Take nothing more, and answer everything that waits with `problem`."""
        self.close()
        for stream_id in list(self._queues):
            self.forget(stream_id, problem)

    def cycle_took(self, seconds: float) -> None:
        """Tell how long one micro-batch took, for the estimate of waiting times."""
        self._cycle_s += 0.2 * (seconds - self._cycle_s) if self._cycle_s else seconds

    def _expected_wait_s(self, own: int) -> float:
        """Until a record is stepped that is offered now by a stream of which `own` records wait already.

        It is the micro-batches before its own, times how long one takes. By the time the stream's own queue has had
        its turns, every other one has had as many, if it is that long.
        """
        turn = self._turn()
        own_turns = own // turn
        in_round = min(self._in_round, turn * len(self._queues))
        ahead = min((own_turns + 1) * in_round, self.pending)
        return max(own_turns, ahead // self._max_batch_size) * self._cycle_s


def _overloaded(wait_s: float) -> Problem:
    return Problem(
        "overloaded",
        "too many samples are waiting; send again after the time in Retry-After.",
        retry_after_s=_bounded(wait_s),
    )


def _rate_limited(wait_s: float) -> Problem:
    return Problem(
        "rate_limited",
        "too many samples of this stream are waiting; wait for answers, or send again after the time in Retry-After.",
        retry_after_s=_bounded(wait_s),
    )


_REFUSALS = {"overloaded": _overloaded, "rate_limited": _rate_limited}


def _too_late() -> Problem:
    return Problem(
        "overloaded",
        "its turn did not come within X-Request-Timeout-Ms; nothing was applied.",
        retry_after_s=_bounded(0.0),
    )


def _bounded(wait_s: float) -> float:
    return max(0.05, min(wait_s, 30.0))


__all__ = ["Batcher", "Item", "Outcome", "Submission", "Waiting"]
