"""`Stream`: it numbers the samples, resumes where the server stands and repeats safely."""

from __future__ import annotations

import pytest

from liquidstream_client import Client, Conflict, ConnectionFailed, Invalid, RetryPolicy, SampleResult, Unavailable

PUMP = {"task": "forecast", "features": ["flow"]}


@pytest.fixture
def client(server, retry):
    with Client(server.url, retry=retry) as client:
        yield client


@pytest.fixture
def impatient(server):
    """A client that tries everything once."""
    with Client(server.url, retry=RetryPolicy(max_attempts=1)) as client:
        yield client


def samples(count: int, start: int = 0) -> list[dict]:
    return [{"t": float(n), "x": [n / 10]} for n in range(start, start + count)]


def test_a_stream_counts_by_itself(client):
    """Samples are numbered from 1 on."""
    stream = client.create_stream("pump-7", PUMP)
    assert [stream.send(**sample).seq for sample in samples(3)] == [1, 2, 3]
    assert stream.last_seq == 3


def test_a_handle_resumes_from_the_servers_last_seq(client):
    """A second process goes on where the first one stopped."""
    client.create_stream("pump-7", PUMP).send_many(samples(5))
    later = client.stream("pump-7")
    assert later.last_seq is None
    assert later.send(**samples(1, start=5)[0]).seq == 6


def test_the_same_sample_sent_again_after_a_lost_answer_is_applied_once(impatient, server):
    """The caller that was told `ConnectionFailed` may repeat the sample whenever it likes."""
    stream = impatient.create_stream("pump-7", PUMP)
    server.lose_answers = 1
    with pytest.raises(ConnectionFailed):
        stream.send(t=1.0, x=[0.5])
    assert stream.send(t=1.0, x=[0.5]).duplicate
    assert len(server.streams["pump-7"].samples) == 1


@pytest.mark.parametrize("applied", [True, False])
def test_the_next_sample_after_a_lost_one_gets_the_right_number(impatient, server, applied):
    """Whether the lost sample arrived is looked up before another one is sent."""
    stream = impatient.create_stream("pump-7", PUMP)
    if applied:
        server.lose_answers = 1
    else:
        server.refusals.append(({"status": 503, "code": "store_unavailable"}, {}))
    with pytest.raises((ConnectionFailed, Unavailable)):
        stream.send(t=1.0, x=[0.5])
    assert stream.send(t=2.0, x=[0.6]).seq == (2 if applied else 1)


def test_a_refused_sample_takes_no_number(client):
    """After a sample of the wrong width the next one goes on without a gap."""
    stream = client.create_stream("pump-7", PUMP)
    with pytest.raises(Invalid, match="dimension"):
        stream.send(t=1.0, x=[0.5, 0.6])
    assert stream.send(t=1.0, x=[0.5]).seq == 1


def test_another_writer_is_noticed_and_the_count_is_looked_up_again(client):
    """Two handles on one stream: one gets a conflict, and finds its place with the next sample."""
    first = client.create_stream("pump-7", PUMP)
    client.stream("pump-7").send(t=1.0, x=[0.1])
    with pytest.raises(Conflict, match="seq_conflict"):
        first.send(t=2.0, x=[0.2])
    assert first.send(t=2.0, x=[0.2]).seq == 2


def test_send_many_takes_as_many_requests_as_it_needs(client, server):
    """More samples than fit into one request go in several, in order."""
    stream = client.create_stream("pump-7", PUMP)
    answers = stream.send_many(samples(1200))
    assert [answer.seq for answer in answers] == list(range(1, 1201))
    assert server.streams["pump-7"].samples == samples(1200)
    assert len([path for _, path in server.requests if path.endswith("/samples")]) == 3


def test_send_many_numbers_anew_behind_a_refused_sample(client):
    """Two bad samples among eight: six are applied, without a gap, and the two say why not."""
    stream = client.create_stream("pump-7", PUMP)
    batch = samples(8)
    batch[2], batch[6] = {"t": 2.0, "x": [1.0, 2.0]}, {"t": 0.5, "x": [1.0]}
    answers = stream.send_many(batch)
    refused = {n: answer.code for n, answer in enumerate(answers) if not isinstance(answer, SampleResult)}
    assert refused == {2: "dimension", 6: "late_sample"}
    assert [answer.seq for answer in answers if isinstance(answer, SampleResult)] == [1, 2, 3, 4, 5, 6]
    assert stream.last_seq == 6


def test_send_many_survives_lost_answers(client, server):
    """Requests whose answers got lost are repeated; every sample is applied once."""
    stream = client.create_stream("pump-7", PUMP)
    server.lose_answers = 3
    answers = stream.send_many(samples(20))
    assert [answer.seq for answer in answers] == list(range(1, 21))
    assert server.streams["pump-7"].samples == samples(20)


def test_send_many_of_nothing_asks_nothing(client, server):
    """No samples, no request."""
    assert client.stream("pump-7").send_many([]) == []
    assert server.requests == []
