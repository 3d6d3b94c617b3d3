"""Lanes: the session's protocol as a pure state machine, against a server that does its worst."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquidstream_client import ProtocolError, RetryPolicy, SampleResult, Unavailable
from liquidstream_client.errors import ProblemError
from liquidstream_client.lanes import Lanes

PATIENT = RetryPolicy(max_attempts=1000, first_delay_s=0.0, max_delay_s=0.0, give_up_after_s=1e6)
FATES = st.sampled_from(["answer", "answer", "answer", "overloaded", "taken_but_unknown", "cut_before", "cut_after"])


class HostileServer:
    """Applies samples by the rules of `seq`; each message meets the next fate."""

    def __init__(self, fates: list[str]) -> None:
        self.fates = list(fates)
        self.taken: list[dict] = []

    def __call__(self, message: dict) -> dict | None:
        """The answer; `None` when the connection breaks instead."""
        fate = self.fates.pop(0) if self.fates else "answer"
        head = {"stream": message["stream"], "seq": message["seq"], "for": "sample"}
        if fate == "cut_before":
            return None
        if fate == "overloaded":
            return {"type": "nack", **head, "problem": {"status": 503, "code": "overloaded"}}
        answer = self.apply(message, head)
        if fate == "cut_after":
            return None
        if fate == "taken_but_unknown":
            return {"type": "nack", **head, "problem": {"status": 503, "code": "store_unavailable"}}
        return answer

    def apply(self, message: dict, head: dict) -> dict:
        value, seq = message["x"], message["seq"]
        if value < 0:
            return {"type": "nack", **head, "problem": {"status": 422, "code": "not_finite"}}
        if seq > len(self.taken) + 1:
            return {"type": "nack", **head, "problem": {"status": 409, "code": "seq_gap"}}
        if seq <= len(self.taken):
            if self.taken[seq - 1] != value:
                return {"type": "nack", **head, "problem": {"status": 409, "code": "seq_conflict"}}
            return {"type": "result", **head, "predictions": None, "duplicate": True}
        self.taken.append(value)
        return {"type": "result", **head, "predictions": None}


def converse(lanes: Lanes, server: HostileServer) -> None:
    """Carry messages to and fro until nothing is left to send."""
    for _ in range(10_000):
        messages = lanes.outgoing()
        if not messages:
            return
        for message in messages:
            answer = server(message)
            if answer is None:
                lanes.disconnected()
                lanes.connected({"last_seq": {message["stream"]: len(server.taken)}})
                break
            lanes.receive(answer)
    raise AssertionError("the conversation does not end")


@given(fates=st.lists(FATES, max_size=60), count=st.integers(0, 12), window=st.integers(1, 8))
def test_every_sample_is_applied_once_and_in_order(fates, count, window):
    """Whatever is refused for a while or cut off: the server ends up with each sample once, in order."""
    lanes, server, answers = Lanes(PATIENT, lambda: 0.0), HostileServer(fates), []
    lanes.open("pump", 0)
    lanes.max_inflight = window
    for value in range(count):
        lanes.sample("pump", {"x": value}, answers.append)
    converse(lanes, server)
    assert server.taken == list(range(count))
    assert sorted(answer.seq for answer in answers) == list(range(1, count + 1))


@given(values=st.lists(st.sampled_from([-1, 1, 2, 3]), max_size=12), cuts=st.lists(st.booleans(), max_size=20))
def test_refused_samples_leave_no_gap(values, cuts):
    """Samples that are refused for good fail alone; the rest is applied once, in order, also across cuts."""
    lanes, answers = Lanes(PATIENT, lambda: 0.0), []
    server = HostileServer(["cut_after" if cut else "answer" for cut in cuts])
    lanes.open("pump", 0)
    for value in values:
        lanes.sample("pump", {"x": value}, answers.append)
    converse(lanes, server)
    assert server.taken == [value for value in values if value > 0]
    assert sum(isinstance(answer, SampleResult) for answer in answers) == len(server.taken)
    assert sum(isinstance(answer, ProblemError) for answer in answers) == values.count(-1)


def test_a_gap_that_nothing_explains_is_reported():
    """A server that lost samples it had acknowledged is not papered over by new numbers."""
    lanes, server, answers = Lanes(PATIENT, lambda: 0.0), HostileServer([]), []
    lanes.open("pump", 7)
    lanes.sample("pump", {"x": 1}, answers.append)
    converse(lanes, server)
    assert answers[0].code == "seq_gap"
    assert not lanes.knows("pump")


def test_a_pause_holds_back_its_own_stream_only():
    """A stream that was told to wait does not hold up another."""
    now = [0.0]
    lanes = Lanes(RetryPolicy(), lambda: now[0])
    for name in ("a", "b"):
        lanes.open(name, 0)
        lanes.sample(name, {"x": 1}, lambda _: None)
    lanes.outgoing()
    problem = {"status": 503, "code": "overloaded", "retry_after_ms": 1000}
    lanes.receive({"type": "nack", "stream": "a", "seq": 1, "for": "sample", "problem": problem})
    lanes.sample("b", {"x": 2}, lambda _: None)
    assert [message["stream"] for message in lanes.outgoing()] == ["b"]
    assert lanes.wake_at() == pytest.approx(1.0, abs=0.2)
    now[0] = 1.2
    assert [message["stream"] for message in lanes.outgoing()] == ["a"]


def test_a_sample_is_given_up_after_the_policys_tries():
    """An overload that does not end comes out as the refusal."""
    lanes, answers = Lanes(RetryPolicy(max_attempts=3, first_delay_s=0.0), lambda: 0.0), []
    lanes.open("pump", 0)
    lanes.sample("pump", {"x": 1}, answers.append)
    converse(lanes, HostileServer(["overloaded"] * 3))
    assert isinstance(answers[0], Unavailable)


def test_an_answer_to_nothing_is_an_error():
    """A result for a sample that is not under way means that the two sides disagree."""
    lanes = Lanes(PATIENT, lambda: 0.0)
    lanes.open("pump", 0)
    with pytest.raises(ProtocolError, match="not under way"):
        lanes.receive({"type": "result", "stream": "pump", "seq": 3, "for": "sample", "predictions": None})


def test_hello_asks_only_for_streams_that_wait_and_in_parts():
    """A session that knows thousands of streams does not ask for all of them in one message."""
    lanes = Lanes(PATIENT, lambda: 0.0)
    assert lanes.hellos() == [{"type": "hello", "resume": []}]
    for number in range(1200):
        lanes.open(f"pump-{number}", 0)
        if number % 2:
            lanes.sample(f"pump-{number}", {"x": 1}, lambda _: None)
    asked = [hello["resume"] for hello in lanes.hellos()]
    assert [len(part) for part in asked] == [512, 88]
    assert all(int(name.split("-")[1]) % 2 for part in asked for name in part)
