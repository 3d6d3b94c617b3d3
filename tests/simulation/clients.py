"""Clients: they send a plan, again where they must, and note what they are told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from safetensors.numpy import load

from liquid_core.engine.records import Label, Observation, Sample
from service.messages import LabelIn, LabelResult, ProblemItem, SampleIn, SampleResult, StreamInfo
from service.problems import Problem
from tests.simulation.history import Ack, History, Read, Removal, Told
from tests.simulation.loop import Process, exponential
from tests.simulation.plans import Plan
from tests.simulation.server import Server, Unreachable

_TIMEOUT_S = 6.0
#: Codes by which a server asks for patience.
_TRY_AGAIN = frozenset({"store_unavailable", "store_full", "fenced", "draining", "overloaded"})
#: A stream that was reset knows its earlier samples' labels no more, so going back to such a sample does not help.
_MOST_TIMES_BACK = 20
#: Codes by which it says that its stream is shorter than the client thinks.
_BEHIND = frozenset({"seq_gap", "label_unknown"})


class Network(Protocol):
    """How clients find servers."""

    history: History
    #: The clients' own process, which never fails.
    clients: Process

    def pick(self, random_: random.Random) -> Server | None:
        """One of the servers, dead ones among them, as an address list has."""

    def now(self) -> float: ...


class Caller:
    """Sends requests to one server until it fails, then to another.

    Parameters
    ----------
    network
        Finds servers.
    seed
        Decides where it turns to and how long it pauses.
    """

    def __init__(self, network: Network, seed: str) -> None:
        self.network = network
        self.random = random.Random(seed)
        self._server: Server | None = None

    async def call(self, method: str, *args: Any) -> Any:
        """One attempt: the result, the `Problem`, or `None` where no answer came."""
        if self._server is None or self._server.process.ended:
            self._server = self.network.pick(self.random)
        if self._server is None:
            await asyncio.sleep(0.2)
            return None
        try:
            answer = await self._server.call(self.network.clients, _TIMEOUT_S, method, *args)
        except Unreachable:
            self._server = None
            return None
        if isinstance(answer, Problem):
            if answer.code in ("fenced", "draining"):
                self._server = None
            if answer.code not in _TRY_AGAIN | {"stream_not_found"}:
                self.network.history.failures.append(f"{method}{args[:1]} got {answer.code}: {answer.detail}")
        return answer

    async def until_told(self, method: str, *args: Any) -> Any:
        """The result, or the problem that patience does not help against."""
        while True:
            answer = await self.call(method, *args)
            if answer is not None and not (isinstance(answer, Problem) and answer.code in _TRY_AGAIN | {"internal"}):
                return answer
            await self.pause(answer)

    async def pause(self, answer: Any = None) -> None:
        after = (answer.retry_after_s or 0.1) if isinstance(answer, Problem) else 0.1
        await asyncio.sleep(after * self.random.uniform(0.5, 1.5))

    async def think(self, mean_s: float) -> None:
        await asyncio.sleep(exponential(self.random, mean_s))

    async def send(self, plan: Plan, records: Sequence[Observation], spoilt: Any = None) -> list[Any] | Problem | None:
        """Send records of one kind, and note which of them are acknowledged; their outcomes, or why there are none.

        Parameters
        ----------
        spoilt
            An item that is no good, to be put before the last.
        """
        history, stream_id = self.network.history, plan.stream_id
        items = [plan.request_item(record) for record in records]
        method = "submit_labels" if isinstance(records[0], Label) else "submit_samples"
        sent_at = self.network.now()
        sent = items if spoilt is None else [*items[:-1], spoilt, items[-1]]
        answer = await self.call(method, stream_id, sent)
        if not isinstance(answer, list):
            return answer
        if spoilt is not None:
            refused = answer.pop(-2)
            if not isinstance(refused, ProblemItem):
                history.failures.append(f"{stream_id}: {spoilt} was taken")
        for record, outcome in zip(records, answer, strict=True):
            if isinstance(outcome, ProblemItem):
                self._note_refusal(plan, record, outcome)
            else:
                history.acks.append(_ack(stream_id, record, outcome, sent_at, self.network.now()))
        return answer

    def _note_refusal(self, plan: Plan, record: Observation, outcome: ProblemItem) -> None:
        if outcome.problem["code"] in _BEHIND:
            expected = outcome.problem.get("expected_seq", record.seq)
            self.network.history.told.append(Told(plan.stream_id, self.network.now(), expected))


class Feeder(Caller):
    """Brings a whole plan to its stream, in order, whatever happens.

    Parameters
    ----------
    ends
        Set once its stream is to be removed; then it stops where it is.
    """

    def __init__(self, network: Network, seed: str, plan: Plan, ends: asyncio.Event) -> None:
        super().__init__(network, seed)
        self._plan = plan
        self._ends = ends
        #: How far it has got.
        self.place = 0
        self._times_back = 0

    async def create(self) -> None:
        answer = await self.until_told("create", self._plan.stream_id, self._plan.spec)
        if isinstance(answer, Problem) and answer.code not in ("spec_conflict",):
            self.network.history.failures.append(f"{self._plan.stream_id} could not be made: {answer.code}")

    async def feed(self) -> None:
        records = self._plan.records
        while self.place < len(records) and not self._ends.is_set():
            chunk = _of_one_kind(records[self.place : self.place + self.random.choice([1, 1, 1, 2, 4])])
            outcomes = await self.send(self._plan, chunk, self._spoilt(chunk))
            if isinstance(outcomes, list):
                self._move_on(chunk, outcomes)
                await self.think(0.4)
            elif isinstance(outcomes, Problem) and outcomes.code == "stream_not_found":
                if not self._ends.is_set():
                    await self._begin_again()
            else:
                await self.pause(outcomes)

    def _spoilt(self, chunk: Sequence[Observation]) -> Any:
        """Now and then something to be refused without harm to what comes with it."""
        if self.random.random() > 0.1:
            return None
        if isinstance(chunk[0], Label):
            return LabelIn(seq=2**40, y=chunk[0].y[0])
        wrong = [SampleIn(t=1e12, x=[1.0] * 7), SampleIn(t=1.0, x=[float("inf")]), SampleIn(t=2e15, x=[0.0], seq=2**50)]
        return self.random.choice(wrong)

    def _move_on(self, chunk: Sequence[Observation], outcomes: Sequence[Any]) -> None:
        for record, outcome in zip(chunk, outcomes, strict=True):
            if not isinstance(outcome, ProblemItem):
                self.place += 1
                continue
            code = outcome.problem["code"]
            if code in _BEHIND and self._times_back < _MOST_TIMES_BACK:
                # As a client does that asks where its stream is: go back to there.
                self._times_back += 1
                seq = outcome.problem.get("expected_seq", record.seq)
                self.place = self._plan.place_of_sample(min(seq, record.seq))
                return
            self.place += 1  # refused for good; the checker decides whether that may be

    async def _begin_again(self) -> None:
        """The stream is gone though nobody removed it."""
        self.network.history.told.append(Told(self._plan.stream_id, self.network.now(), 1))
        await self.create()
        self.place = 0


class Shadow(Caller):
    """Another client of the same stream: sends again what was sent, and sometimes what was not yet."""

    def __init__(self, network: Network, seed: str, plan: Plan, feeder: Feeder) -> None:
        super().__init__(network, seed)
        self._plan = plan
        self._feeder = feeder

    async def haunt(self) -> None:
        for _ in range(self.random.randint(1, 5)):
            await self.think(3.0)
            place = max(0, self._feeder.place + self.random.choice([-8, -3, -2, -1, 0, 0, 1]))
            chunk = _of_one_kind(self._plan.records[place : place + self.random.choice([1, 2, 3])])
            if chunk:
                await self.send(self._plan, chunk)


class Tinkerer(Caller):
    """Freezes a stream, lets it learn again, or has it begin anew, and asks no second time what became of it."""

    async def tinker(self, stream_id: str, times: int, mean_s: float) -> None:
        for _ in range(times):
            await self.think(mean_s)
            await self.call(f"verbs.{self.random.choice(['freeze', 'unfreeze', 'reset'])}", stream_id, None)


class Reader(Caller):
    """Looks at a stream now and then, at its description or at its whole state, wherever somebody answers."""

    async def look(self, stream_id: str, times: int, mean_s: float) -> None:
        for _ in range(times):
            await self.think(mean_s)
            self._server = None
            await self._look(stream_id, self.random.choice(["describe", "export_state"]))

    async def _look(self, stream_id: str, method: str) -> None:
        begun_at = self.network.now()
        seen = await self.call(method, stream_id)
        reads, now = self.network.history.reads, self.network.now()
        if isinstance(seen, StreamInfo):
            reads.append(Read(stream_id, begun_at, now, seen.last_seq, seen.stale))
        elif isinstance(seen, bytes):
            arrays = load(seen)
            last_seq, position = int(arrays["stream.seq"]), int(arrays["stream.records"])
            reads.append(Read(stream_id, begun_at, now, last_seq, position=position, state=seen))


class Remover(Caller):
    """Removes a stream, and is not content before it is told that the stream is gone."""

    async def remove(self, stream_id: str) -> None:
        sent_at = self.network.now()
        await self.until_told("delete", stream_id)
        self.network.history.removals.append(Removal(stream_id, sent_at, self.network.now()))


def _of_one_kind(records: Sequence[Observation]) -> list[Observation]:
    """The first records up to where samples change to labels or labels to samples; a request holds one kind."""
    chunk: list[Observation] = []
    for record in records:
        if chunk and type(record) is not type(chunk[0]):
            break
        chunk.append(record)
    return chunk


def _ack(stream_id: str, record: Observation, outcome: SampleResult | LabelResult, sent_at: float, now: float) -> Ack:
    predictions = None
    if isinstance(record, Sample) and isinstance(outcome, SampleResult) and outcome.predictions is not None:
        predictions = msgspec.to_builtins(outcome.predictions)
    return Ack(stream_id, record, sent_at, now, predictions, outcome.duplicate)


__all__ = ["Caller", "Feeder", "Network", "Reader", "Remover", "Shadow", "Tinkerer"]
