"""The Python client and the real server: the same promises as against the toy, kept by both together."""

from __future__ import annotations

import asyncio
import math

import pytest
from safetensors.numpy import load

from liquidstream_client import (
    AsyncClient,
    Client,
    Conflict,
    ConnectionFailed,
    Invalid,
    LabelResult,
    NotFound,
    RetryPolicy,
    SampleResult,
    Unauthorized,
)
from service.child_server import ChildServer

WAVE = {"task": "forecast", "features": ["a", "b"], "horizon": [1, 3], "learner": {"window": 4}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ChildServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server.url) as client:
        yield client


def wave(count: int, start: int = 0) -> list[dict]:
    return [{"t": float(n), "x": [math.sin(n / 4), math.cos(n / 4)]} for n in range(start, start + count)]


def test_every_call_of_the_api(client):
    """Create, send one and many, label, look ahead, describe, state, list, delete."""
    stream = client.create_stream("every-call", WAVE)
    first = stream.send(t=-1.0, x=[0.0, None])
    assert [prediction.horizon for prediction in first.predictions] == [1, 3]
    assert all(isinstance(answer, SampleResult) for answer in stream.send_many(wave(20)))
    ahead = stream.predict(t=21.0, x=[0.1, 0.2])
    assert ahead.last_seq == 21
    assert stream.info().last_seq == 21
    assert load(stream.state())
    assert "every-call" in [info.id for info in client.streams(limit=1)]
    stream.delete()
    with pytest.raises(NotFound):
        stream.info()


def test_a_backlog_goes_in_by_ingest(client):
    """Lines of two streams, numbered: each answered, and all of them duplicates the second time."""
    lines = []
    for name in ("backlog-1", "backlog-2"):
        client.create_stream(name, WAVE)
    for seq, sample in enumerate(wave(300), 1):
        lines += [{"stream": name, "seq": seq, **sample} for name in ("backlog-1", "backlog-2")]
    assert [(answer.seq, answer.duplicate) for answer in client.ingest(lines)] == [
        (line["seq"], False) for line in lines
    ]
    assert all(answer.duplicate for answer in client.ingest(lines))
    assert client.describe("backlog-1").last_seq == 300


def test_a_repeat_is_answered_with_the_first_prediction(client):
    """The same `seq` again changes nothing and returns what was returned then."""
    client.create_stream("repeat", WAVE).send_many(wave(10))
    sample = wave(1, start=10)[0]
    first = client.send("repeat", **sample, seq=11)
    again = client.send("repeat", **sample, seq=11)
    assert (first.duplicate, again.duplicate) == (False, True)
    assert again.predictions == first.predictions
    assert client.describe("repeat").samples == 11


def test_refusals_arrive_as_their_exceptions(client):
    """Codes and classes of the tree."""
    stream = client.create_stream("refusals", WAVE)
    stream.send_many(wave(3))
    with pytest.raises(Invalid, match="dimension"):
        stream.send(t=9.0, x=[1.0])
    with pytest.raises(Conflict, match="late_sample"):
        stream.send(t=0.5, x=[1.0, 1.0])
    with pytest.raises(Conflict, match="seq_gap") as gap:
        client.send("refusals", t=9.0, x=[1.0, 1.0], seq=9)
    assert gap.value.extensions["expected_seq"] == 4
    with pytest.raises(Conflict, match="spec_conflict"):
        client.create_stream("refusals", {**WAVE, "horizon": 2})
    with pytest.raises(Invalid, match="spec_invalid"):
        client.create_stream("refused", task="forecast", features=[])
    assert stream.send(t=9.0, x=[1.0, 1.0]).seq == 4


def test_refused_samples_among_many_do_not_stop_the_others(client):
    """The rest is numbered anew and applied."""
    stream = client.create_stream("mixed", WAVE)
    batch = wave(10)
    batch[3], batch[7] = {"t": 3.0, "x": [1.0]}, {"t": 1.0, "x": [1.0, 1.0]}
    answers = stream.send_many(batch)
    assert [answer.seq for answer in answers if isinstance(answer, SampleResult)] == list(range(1, 9))
    assert stream.info().samples == 8


def test_labels_arrive_late_and_once(client):
    """Classification with labels by POST; the same label again is a duplicate."""
    stream = client.create_stream("kinds", task="classification", features=["a"], classes=["low", "high"])
    answers = stream.send_many([{"t": float(n), "x": [n % 2]} for n in range(12)])
    results = stream.label_many({answer.seq: "high" if n % 2 else "low" for n, answer in enumerate(answers)})
    assert all(isinstance(result, LabelResult) for result in results)
    assert stream.label(1, "low").duplicate
    with pytest.raises(Conflict, match="label_conflict"):
        stream.label(1, "high")
    assert set(stream.predict(x=[1.0]).predictions[0].probabilities) == {"low", "high"}


async def test_a_session_feeds_many_streams(server):
    """Pipelined over one WebSocket, in order, and labels beside samples."""
    async with AsyncClient(server.url) as client:
        names = [f"session-{n}" for n in range(5)]
        for name in names:
            await client.create_stream(name, WAVE)
        await client.create_stream("session-y", task="regression", features=["a"], targets=["y"])
        async with client.session(window=32) as session:
            futures = [await session.submit(name, **sample) for sample in wave(12) for name in names]
            answers = await asyncio.gather(*futures)
            labelled = await session.send("session-y", t=1.0, x=[1.0])
            assert (await session.label("session-y", labelled.seq, 2.0)).seq == labelled.seq
            refused = await asyncio.gather(session.send(names[0], t=99.0, x=[1.0]), return_exceptions=True)
            assert isinstance(refused[0], Invalid)
            assert (await session.send(names[0], **wave(1, start=12)[0])).seq == 13
        assert [answer.seq for answer in answers[:: len(names)]] == list(range(1, 13))


def test_a_session_and_a_stream_agree(client):
    """The same samples by WebSocket and by POST get the same predictions, bit for bit."""
    by_post = client.create_stream("by-post", WAVE).send_many(wave(15))
    client.create_stream("by-socket", WAVE)
    with client.session(window=8) as session:
        waiting = [session.submit("by-socket", **sample) for sample in wave(15)]
        by_socket = [future.result() for future in waiting]
    assert [answer.predictions for answer in by_socket] == [answer.predictions for answer in by_post]


async def test_a_session_survives_a_restart_of_the_server(tmp_path):
    """The server is killed while a session is sending; every sample is applied once."""
    server = ChildServer(tmp_path)
    server.start()
    try:
        retry = RetryPolicy(max_attempts=200, first_delay_s=0.05, max_delay_s=0.2, give_up_after_s=120.0)
        async with AsyncClient(server.url, retry=retry) as client:
            await client.create_stream("survivor", WAVE)
            async with client.session(window=16) as session:
                sending = asyncio.gather(*[await session.submit("survivor", **sample) for sample in wave(10)])
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                answers = list(await sending)
                answers += [await session.send("survivor", **sample) for sample in wave(5, start=10)]
                assert session.reconnects > 0
            assert [answer.seq for answer in answers] == list(range(1, 16))
            assert (await client.describe("survivor")).samples == 15
    finally:
        server.stop()


def test_a_key_is_asked_for(tmp_path):
    """With a key set, REST and WebSocket refuse who has none."""
    with ChildServer(tmp_path, {"LIQUID_API_KEYS": "open-sesame"}) as server:
        with Client(server.url) as stranger:
            with pytest.raises(Unauthorized):
                list(stranger.streams())
            with pytest.raises(Unauthorized), stranger.session():
                pass
        with Client(server.url, api_key="open-sesame") as friend:
            friend.create_stream("mine", WAVE)
            with friend.session() as session:
                assert session.send("mine", **wave(1)[0]).seq == 1


def test_a_stopped_server_is_a_connection_failed(tmp_path):
    """Once it is gone the client says so, and how to start one."""
    with ChildServer(tmp_path) as server:
        client = Client(server.url, retry=RetryPolicy(max_attempts=1))
        stream = client.create_stream("gone", WAVE)
    with client, pytest.raises(ConnectionFailed, match="liquidstream serve"):
        stream.send(**wave(1)[0])


def test_every_command(client):
    """Keep a state, be misled, freeze, go back, fork, tune, take a state over: the fork and the original agree."""
    stream = client.create_stream("commanded", WAVE)
    stream.send_many(wave(20))
    kept = stream.snapshot()
    fork = stream.fork("commanded-fork")
    stream.send_many([{"t": 20.0 + n, "x": [1e6 * (-1) ** n, 0.0]} for n in range(20)])
    assert stream.freeze().frozen
    assert kept in stream.snapshots()
    back = stream.rollback(kept.position, if_seq=40)
    assert (back.last_seq, back.samples, back.frozen) == (40, 20, True)
    assert not stream.unfreeze().frozen
    later = wave(5, start=1000)
    ours, theirs = stream.send_many(later), fork.send_many(later)
    assert [answer.predictions for answer in ours] == [answer.predictions for answer in theirs]
    assert [answer.seq for answer in theirs] == [21, 22, 23, 24, 25]

    tuned = fork.change_spec(learner={"learning_rate": 0.01})
    assert (tuned.spec["learner"]["learning_rate"], tuned.samples) == (0.01, 25)
    twin = client.import_state("commanded-twin", client.state("commanded"))
    assert twin.last_seq == 45
    assert twin.reset(if_seq=45).samples == 0
    with pytest.raises(Conflict) as refused:
        twin.reset(if_seq=44)
    assert refused.value.code == "seq_conflict"
    client.delete_snapshot("commanded", kept.position)
    with pytest.raises(NotFound):
        stream.rollback(kept.position)


async def test_every_command_without_waiting_for_each_other(server):
    """The async client has the same commands."""
    async with AsyncClient(server.url) as client:
        stream = await client.create_stream("commanded-async", WAVE)
        await stream.send_many(wave(10))
        kept = await stream.snapshot()
        assert (await stream.freeze()).frozen
        assert not (await stream.unfreeze()).frozen
        assert kept in await stream.snapshots()
        assert (await stream.rollback(kept.position)).samples == 10
        fork = await stream.fork("commanded-async-fork")
        assert (await fork.change_spec({"late": "clamp"})).spec["late"] == "clamp"
        assert (await fork.reset()).samples == 0
        taken = await client.import_state("commanded-async-fork-2", await client.state("commanded-async"))
        assert taken.last_seq == 10
        await client.delete_snapshot("commanded-async", kept.position)
