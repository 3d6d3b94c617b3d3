"""`ingest`: lines in, answers out, a request for every 256 lines, and repeats that apply nothing twice."""

from __future__ import annotations

import pytest

from liquidstream_client import AsyncClient, Client, LabelResult, ProblemError, SampleResult, Unavailable
from liquidstream_client.errors import ConnectionFailed

SPEC = {"task": "forecast", "features": ["x"]}


@pytest.fixture
def client(server, retry):
    with Client(server.url, retry=retry) as client:
        client.create_stream("a", SPEC)
        client.create_stream("b", SPEC)
        yield client


def line(stream: str, seq: int, **more) -> dict:
    return {"stream": stream, "t": float(seq), "x": [0.5], "seq": seq, **more}


def test_every_line_has_its_answer_in_its_place(client):
    """Samples, labels and refusals, of any streams."""
    first, label, other, wide = client.ingest(
        [line("a", 1), {"type": "label", "stream": "a", "seq": 1, "y": 2.0}, line("b", 1), line("b", 2, x=[1.0, 2.0])]
    )
    assert isinstance(first, SampleResult)
    assert isinstance(label, LabelResult)
    assert other.seq == 1
    assert isinstance(wide, ProblemError)
    assert wide.code == "dimension"


def test_a_long_iterable_goes_in_several_requests(client, server):
    """No request has more lines than the server takes unread, and none is made before it is asked for."""
    answers = client.ingest(line("a", seq) for seq in range(1, 601))
    next(answers)
    assert server.requests.count(("POST", "/v1/ingest")) == 1
    assert sum(1 for _ in answers) == 599
    assert server.requests.count(("POST", "/v1/ingest")) == 3


def test_large_lines_make_small_requests(client, server):
    """A request is bounded in bytes too."""
    lines = [{"stream": "a", "t": 1.0, "x": [0.123456789] * 4000, "seq": 1}] * 32
    assert all(answer.code == "dimension" for answer in client.ingest(lines))
    assert server.requests.count(("POST", "/v1/ingest")) == 4


def test_a_lost_answer_is_asked_for_again(client, server):
    """With a number in every line the repeat changes nothing."""
    server.lose_answers = 1
    assert [answer.duplicate for answer in client.ingest([line("a", 1), line("a", 2)])] == [True, True]
    assert len(server.streams["a"].samples) == 2


def test_without_numbers_a_lost_answer_is_not_asked_for_again(client, server):
    """Nobody could tell the repeat from new samples."""
    server.lose_answers = 1
    with pytest.raises(ConnectionFailed):
        list(client.ingest([{"stream": "a", "t": 1.0, "x": [0.5]}]))


def test_a_server_that_stops_says_which_lines_it_did_not_take(client, server):
    """They get the problem, and when to come back."""
    server.ingest_at_most = 1
    first, *rest = client.ingest(line("a", seq) for seq in (1, 2, 3))
    assert first.seq == 1
    assert [(type(answer), answer.code, answer.retry_after_s) for answer in rest] == [
        (Unavailable, "draining", 0.5)
    ] * 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"t": 1.0, "x": [1.0]},
        {"stream": "a", "type": "hello"},
        {"stream": "a", "type": "label", "seq": 1},
        {"stream": "a", "t": 1.0, "x": [float("inf")]},
        {"stream": "a", "t": 1.0, "x": [1.0], "z": 1},
    ],
)
def test_what_is_no_line_is_refused_before_it_is_sent(client, server, wrong):
    """The mistake shows where it was made."""
    with pytest.raises(ValueError, match=r"`|a line|a label|a sample"):
        list(client.ingest([wrong]))
    assert ("POST", "/v1/ingest") not in server.requests


async def test_the_async_client_does_the_same(client, server):
    """One line or hundreds."""
    assert client.url == server.url
    async with AsyncClient(server.url) as other:
        answers = [answer async for answer in other.ingest(line("a", seq) for seq in range(1, 301))]
    assert [answer.seq for answer in answers] == list(range(1, 301))
