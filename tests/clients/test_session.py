"""WebSocket sessions: many streams on one connection, pipelined, each sample applied once whatever breaks."""

from __future__ import annotations

import asyncio

import pytest

from liquidstream_client import AsyncClient, Client, ConnectionFailed, Forbidden, Invalid, NotFound, RetryPolicy

PUMP = {"task": "forecast", "features": ["flow"]}
OVERLOADED = {"status": 503, "code": "overloaded", "retry_after_ms": 1}
STORE_AWAY = {"status": 503, "code": "store_unavailable", "retry_after_ms": 1}


@pytest.fixture
async def client(server, retry):
    async with AsyncClient(server.url, retry=retry) as client:
        for name in ("a", "b", "c"):
            await client.create_stream(name, PUMP)
        yield client


async def submit_all(session, counts: dict[str, int]) -> list:
    """Samples of several streams, interleaved; returns the answers."""
    futures = [
        await session.submit(name, t=float(n), x=[n / 10])
        for n in range(max(counts.values()))
        for name in counts
        if n < counts[name]
    ]
    return await asyncio.gather(*futures, return_exceptions=True)


def applied(server, name: str) -> list[float]:
    return [sample["t"] for sample in server.streams[name].samples]


async def test_many_streams_share_one_connection(client, server):
    """Answers find their samples, and every stream keeps its order."""
    async with client.session() as session:
        answers = await submit_all(session, {"a": 40, "b": 25, "c": 10})
    assert len(answers) == 75
    assert applied(server, "a") == [float(n) for n in range(40)]
    assert session.reconnects == 0


async def test_a_session_resumes_where_the_server_stands(client):
    """Numbers go on from what was sent by other means before."""
    await (await client.create_stream("a", PUMP)).send(t=0.0, x=[0.0])
    async with client.session() as session:
        assert (await session.send("a", t=1.0, x=[0.1])).seq == 2


@pytest.mark.parametrize("breaks", [[1], [3, 5, 1, 8], [20], [2, 2, 2, 2, 2]])
async def test_a_broken_connection_loses_and_repeats_nothing(client, server, breaks):
    """Whatever had no answer is sent again after each break, and applied once."""
    server.close_after.extend(breaks)
    async with client.session(window=8) as session:
        answers = await submit_all(session, {"a": 30, "b": 30})
    assert [answer.seq for answer in answers[::2]] == list(range(1, 31))
    assert applied(server, "a") == applied(server, "b") == [float(n) for n in range(30)]
    assert session.reconnects == len(breaks)


async def test_a_repeat_returns_the_stored_prediction(client, server):
    """The sample that was applied when its connection broke comes back as a duplicate with its prediction."""
    server.close_after.append(1)
    async with client.session() as session:
        answer = await session.send("a", t=1.0, x=[0.7])
    assert answer.duplicate
    assert answer.at(1).y == (0.7,)


async def test_a_refused_sample_does_not_stop_those_behind_it(client, server):
    """The samples behind it in the window are refused as a gap, numbered anew and applied."""
    async with client.session() as session:
        futures = [await session.submit("a", t=float(n), x=[0.0] * (2 if n == 3 else 1)) for n in range(9)]
        answers = await asyncio.gather(*futures, return_exceptions=True)
    assert isinstance(answers[3], Invalid)
    assert [answer.seq for answer in answers if answer is not answers[3]] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert applied(server, "a") == [0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0]


@pytest.mark.parametrize("refusal", [OVERLOADED, STORE_AWAY])
async def test_a_temporary_refusal_is_waited_out_in_order(client, server, refusal):
    """The samples of a stream stay in order when the server cannot take one of them for a while."""
    server.nacks[("a", 3)] = [refusal, refusal, refusal]
    async with client.session() as session:
        answers = await submit_all(session, {"a": 10, "b": 10})
    assert [answer.seq for answer in answers[::2]] == list(range(1, 11))
    assert applied(server, "a") == [float(n) for n in range(10)]


async def test_labels_travel_on_the_same_connection(client, server):
    """A label names the sample's `seq` and gets its own answer."""
    server.close_after.append(3)
    async with client.session() as session:
        first = await session.send("a", t=1.0, x=[0.1])
        label = await session.label("a", first.seq, "open")
        assert (label.seq, label.duplicate) == (1, False)
        with pytest.raises(Invalid, match="label_unknown"):
            await session.label("a", 99, "open")
        with pytest.raises(Invalid):
            await session.label("a", 98, "open")
    assert server.streams["a"].labels == {1: "open"}


async def test_the_window_bounds_what_is_under_way(client, server):
    """With a window of two the third sample waits for an answer to the first."""
    server.nacks[("a", 1)] = [{**OVERLOADED, "retry_after_ms": 100}]
    async with client.session(window=2) as session:
        futures = [await session.submit("a", t=float(n), x=[0.0]) for n in range(2)]
        third = asyncio.create_task(session.submit("b", t=1.0, x=[0.0]))
        await asyncio.wait([third], timeout=0.02)
        assert not third.done()
        await asyncio.gather(*futures, await third)


async def test_the_servers_window_is_kept(client, server):
    """A server that takes one message at a time gets one at a time."""
    server.max_inflight = 1
    async with client.session(window=32) as session:
        answers = await submit_all(session, {"a": 12, "b": 12})
    assert [answer.seq for answer in answers[::2]] == list(range(1, 13))


async def test_an_unknown_stream_is_told_at_once(client):
    """The first sample of a stream that does not exist raises NotFound, and the session goes on."""
    async with client.session() as session:
        with pytest.raises(NotFound):
            await session.submit("nobody", t=1.0, x=[0.0])
        assert (await session.send("a", t=1.0, x=[0.0])).seq == 1


async def test_a_stream_that_another_writer_moved_is_found_again(client):
    """After a conflict the session looks up where the stream stands."""
    async with client.session() as session:
        await session.send("a", t=1.0, x=[0.0])
        await client.stream("a").send(t=2.0, x=[0.0])
        conflict = await asyncio.gather(session.send("a", t=3.0, x=[0.0]), return_exceptions=True)
        assert conflict[0].code == "seq_conflict"
        assert (await session.send("a", t=3.0, x=[0.0])).seq == 3


async def test_a_server_that_stays_away_fails_what_waits(client, server):
    """When the policy's tries are used up, everything under way says so, and so does the next call."""
    server.close_after.extend([1] + [0] * 50)
    async with client.session() as session:
        future = await session.submit("a", t=1.0, x=[0.0])
        server.streams.clear()  # the toy's welcome now fails, and with it each new connection
        with pytest.raises(ConnectionFailed, match="liquidstream serve"):
            await future
        with pytest.raises(ConnectionFailed):
            await session.submit("a", t=2.0, x=[0.0])


async def test_no_server_no_session():
    """Opening a session to nobody raises after the policy's tries."""
    client = AsyncClient("http://127.0.0.1:9", retry=RetryPolicy(max_attempts=2, first_delay_s=0.001))
    with pytest.raises(ConnectionFailed, match="no connection to"):
        async with client, client.session():
            pass


async def test_a_handshake_refused_for_good_is_not_repeated(server, retry):
    """A 403 instead of an upgrade ends the attempt with the server's reason."""
    client = AsyncClient(f"{server.url}/elsewhere", retry=retry)
    with pytest.raises(Forbidden):
        async with client, client.session():
            pass


def test_the_sync_session_does_the_same(server, retry):
    """Futures of the standard library, answered while the caller does something else."""
    server.close_after.extend([5, 7])
    with Client(server.url, retry=retry) as client:
        client.create_stream("a", PUMP)
        with client.session(window=4) as session:
            waiting = [session.submit("a", t=float(n), x=[0.1]) for n in range(20)]
            assert session.label("a", waiting[0].result().seq, "open").seq == 1
            assert session.send("a", t=20.0, x=[0.1]).seq == 21
            assert session.reconnects == 2
    assert [future.result().seq for future in waiting] == list(range(1, 21))


def test_the_sync_session_says_that_nobody_is_there():
    """Opening fails with the same error, and leaves no thread behind."""
    client = Client("http://127.0.0.1:9", retry=RetryPolicy(max_attempts=1))
    with client, pytest.raises(ConnectionFailed), client.session():
        pass
