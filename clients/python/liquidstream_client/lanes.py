"""Lanes: what a WebSocket session has under way, without any input or output.

Each stream has a lane in which its samples travel in order, several at a time. The protocol is go-back-N: when one
sample is refused, the server refuses those behind it as a gap, and they are sent again; when the connection breaks,
everything without an answer is sent again. The server recognises by `seq` what it already has.

A sample's number is settled as follows. It is the next one when the sample is first sent. The sample keeps it while
its outcome is unknown, because the server may have it. It gets a new one only when the server certainly does not have
it: refused for what went wrong before it, or, after a broken connection, beyond the `last_seq` of the welcome.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from liquidstream_client.errors import LiquidstreamError, ProblemError, ProtocolError, problem_error
from liquidstream_client.retry import Backoff, RetryPolicy
from liquidstream_client.types import LabelResult, SampleResult

R = TypeVar("R")

#: Refusals after which our count and the server's differ.
_LOST_COUNT = {"seq_gap", "seq_conflict", "stream_not_found"}

#: Streams in one `hello`; the server takes twice as many.
_RESUME_AT_ONCE = 512


@dataclass(slots=True, eq=False)
class Ticket(Generic[R]):
    """One message and whoever waits for its answer."""

    body: Mapping[str, Any]
    done: Callable[[R | LiquidstreamError], None]
    seq: int | None = None
    sent: bool = False
    in_doubt: bool = False
    """True while the server may have it from an earlier try; then it must keep its number."""
    backoff: Backoff | None = None

    def forget_number(self) -> None:
        """The server certainly does not have it: it takes the next number when it is sent again."""
        self.seq, self.in_doubt = None, False


@dataclass(slots=True)
class Lane:
    """One stream's samples, oldest first, and labels by `seq`."""

    applied_seq: int
    """The last sample that the server has for certain."""
    samples: deque[Ticket[SampleResult]] = field(default_factory=deque)
    labels: dict[int, Ticket[LabelResult]] = field(default_factory=dict)
    going_back: bool = False
    """True after a refusal, until everything under way has been answered; nothing is sent meanwhile."""
    resume_at: float = 0.0
    lost_count: bool = False
    """True once the server's numbers were not the expected ones: the lane must be opened anew when it is empty."""

    @property
    def samples_under_way(self) -> int:
        return sum(ticket.sent for ticket in self.samples)

    @property
    def under_way(self) -> int:
        return self.samples_under_way + sum(ticket.sent for ticket in self.labels.values())


class Lanes:
    """The state of a session. `clock` is only compared with what `receive` adds a server's delay to."""

    def __init__(self, retry: RetryPolicy, clock: Callable[[], float]) -> None:
        self.max_inflight = 256
        self._retry = retry
        self._clock = clock
        self._lanes: dict[str, Lane] = {}

    # What the caller asks for.

    def knows(self, stream: str) -> bool:
        """Whether a sample may be put on this stream's lane; otherwise it must be opened first."""
        lane = self._lanes.get(stream)
        return lane is not None and not (lane.lost_count and not lane.samples)

    def open(self, stream: str, last_seq: int) -> None:
        """Begin a lane where the server stands."""
        lane = self._lanes.setdefault(stream, Lane(applied_seq=last_seq))
        lane.applied_seq, lane.lost_count = last_seq, False

    @property
    def is_empty(self) -> bool:
        """True when everything has been answered."""
        return all(not lane.samples and not lane.labels for lane in self._lanes.values())

    def sample(self, stream: str, body: Mapping[str, Any], done: Callable[[Any], None]) -> None:
        """Put a sample behind the others of its stream."""
        self._lanes[stream].samples.append(Ticket(body, done))

    def label(self, stream: str, seq: int, body: Mapping[str, Any], done: Callable[[Any], None]) -> None:
        """Put a label on its way; a second one for the same sample waits for nobody and is refused here."""
        lane = self._lanes[stream]
        if seq in lane.labels:
            raise ValueError(f"a label for sample {seq} of stream '{stream}' is already under way")
        lane.labels[seq] = Ticket(body, done, seq=seq)

    # What goes out.

    def outgoing(self) -> list[dict[str, Any]]:
        """The messages that may be sent now, in order; they count as sent."""
        now, messages = self._clock(), []
        room = self.max_inflight - sum(lane.under_way for lane in self._lanes.values())
        for stream, lane in self._lanes.items():
            if lane.resume_at > now:
                continue
            for seq, label in lane.labels.items():
                if not label.sent and room > 0:
                    label.sent, room = True, room - 1
                    messages.append({"type": "label", "stream": stream, **label.body, "seq": seq})
            if lane.going_back:
                continue
            for sample in self._unsent(lane):
                if room <= 0:
                    break
                sample.sent, room = True, room - 1
                messages.append({"type": "sample", "stream": stream, **sample.body, "seq": sample.seq})
        return messages

    def _unsent(self, lane: Lane) -> list[Ticket[SampleResult]]:
        """The samples that wait, each with its number."""
        waiting, seq = [], lane.applied_seq
        for ticket in lane.samples:
            if ticket.seq is None:
                ticket.seq = seq + 1
            seq = max(seq, ticket.seq)
            if not ticket.sent:
                waiting.append(ticket)
        return waiting

    def wake_at(self) -> float | None:
        """When the earliest lane that pauses may go on; `None` where none does."""
        now = self._clock()
        return min((lane.resume_at for lane in self._lanes.values() if lane.resume_at > now), default=None)

    def hellos(self) -> list[dict[str, Any]]:
        """The first messages of a connection: they ask where those streams stand that wait for answers."""
        waiting = [stream for stream, lane in self._lanes.items() if lane.samples or lane.labels]
        parts = [waiting[start : start + _RESUME_AT_ONCE] for start in range(0, len(waiting), _RESUME_AT_ONCE)]
        return [{"type": "hello", "resume": part} for part in parts or [[]]]

    # What comes in.

    def connected(self, welcome: Mapping[str, Any]) -> None:
        """The server's answer to `hello`: its window, and where each stream stands."""
        self.max_inflight = max(1, int(welcome.get("max_inflight", self.max_inflight)))
        for stream, last_seq in (welcome.get("last_seq") or {}).items():
            lane = self._lanes.get(stream)
            if lane is None:
                continue
            lane.applied_seq = max(lane.applied_seq, int(last_seq))
            for ticket in lane.samples:
                if ticket.seq is not None and ticket.seq > last_seq:
                    ticket.forget_number()  # it did not arrive, and one before it may have been refused

    def disconnected(self) -> None:
        """Whatever has no answer goes out again: the server may have it."""
        for lane in self._lanes.values():
            lane.going_back = False
            tickets: list[Ticket[Any]] = [*lane.samples, *lane.labels.values()]
            for ticket in tickets:
                ticket.in_doubt |= ticket.sent
                ticket.sent = False

    def receive(self, message: Mapping[str, Any]) -> None:
        """Take one `result` or `nack`; whoever waits for it is told.

        Raises
        ------
        ProtocolError
            The message answers nothing that is under way.
        """
        stream = str(message.get("stream"))
        lane = self._lanes.get(stream)
        if lane is None:
            if message["type"] == "nack":
                raise problem_error(message["problem"])
            raise ProtocolError(f"the server answered for stream '{stream}', to which nothing was sent")
        if message["type"] == "result":
            self._result(lane, message)
        else:
            self._nack(lane, message, problem_error(message["problem"]))
        if lane.going_back and lane.samples_under_way == 0:
            lane.going_back = False

    def _result(self, lane: Lane, message: Mapping[str, Any]) -> None:
        if message.get("for") == "label":
            label = lane.labels.pop(int(message["seq"]), None)
            if label is not None:
                label.done(LabelResult.from_json(message))
            return
        ticket = self._sent_sample(lane, message["seq"])
        if ticket is None:
            raise ProtocolError(f"the server answered sample {message['seq']}, which is not under way")
        answer = SampleResult.from_json(message)
        lane.samples.remove(ticket)
        lane.applied_seq = max(lane.applied_seq, answer.seq)
        ticket.done(answer)

    def _nack(self, lane: Lane, message: Mapping[str, Any], problem: ProblemError) -> None:
        seq = message.get("seq")
        sample = None if message.get("for") == "label" else self._sent_sample(lane, seq)
        if sample is None:
            label = lane.labels.get(seq) if seq is not None else None
            if label is not None:
                self._label_nack(lane, label, problem)
            return
        if problem.code == "seq_gap" and lane.going_back:
            sample.sent = False
            sample.forget_number()
            return
        lane.going_back = True
        if self._again(lane, sample, problem):
            sample.sent = False
            sample.in_doubt |= not problem.was_not_applied
            if not sample.in_doubt:
                sample.forget_number()
            return
        lane.lost_count |= problem.is_temporary or problem.code in _LOST_COUNT
        lane.samples.remove(sample)
        sample.done(problem)

    def _label_nack(self, lane: Lane, label: Ticket[LabelResult], problem: ProblemError) -> None:
        if self._again(lane, label, problem):
            label.sent = False
            return
        assert label.seq is not None
        del lane.labels[label.seq]
        label.done(problem)

    def _again(self, lane: Lane, ticket: Ticket[Any], problem: ProblemError) -> bool:
        """Whether a refused message shall be sent again; its lane pauses until then."""
        if not problem.is_temporary:
            return False
        ticket.backoff = ticket.backoff or self._retry.start()
        delay = ticket.backoff.next_delay(problem.retry_after_s)
        if delay is None:
            return False
        lane.resume_at = max(lane.resume_at, self._clock() + delay)
        return True

    @staticmethod
    def _sent_sample(lane: Lane, seq: int | None) -> Ticket[SampleResult] | None:
        """The sample under way with this number; without a number the oldest."""
        for ticket in lane.samples:
            if ticket.sent and (seq is None or ticket.seq == seq):
                return ticket
        return None

    def fail(self, error: LiquidstreamError) -> None:
        """Nothing more will be answered: tell everybody."""
        for lane in self._lanes.values():
            tickets: list[Ticket[Any]] = [*lane.samples, *lane.labels.values()]
            lane.samples.clear()
            lane.labels.clear()
            for ticket in tickets:
                ticket.done(error)


__all__ = ["Lane", "Lanes", "Ticket"]
