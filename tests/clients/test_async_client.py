"""The async client: the same calls, awaited."""

from __future__ import annotations

import asyncio

import pytest

from liquidstream_client import AsyncClient, Client, Invalid, NotFound
from liquidstream_client.async_session import AsyncSession
from liquidstream_client.async_stream import AsyncStream
from liquidstream_client.session import Session
from liquidstream_client.stream import Stream

PUMP = {"task": "forecast", "features": ["flow"]}


@pytest.fixture
async def client(server, retry):
    async with AsyncClient(server.url, retry=retry) as client:
        yield client


@pytest.mark.parametrize(("sync", "other"), [(Client, AsyncClient), (Stream, AsyncStream), (Session, AsyncSession)])
def test_both_worlds_have_the_same_methods(sync, other):
    """Whatever the sync client can do the async one can, under the same name."""
    methods = {name for name in vars(sync) if not name.startswith("_")}
    assert methods == {name for name in vars(other) if not name.startswith("_")}


async def test_a_stream_counts_and_resumes(client):
    """Numbers go on across handles."""
    stream = await client.create_stream("pump-7", PUMP)
    await stream.send(t=1.0, x=[0.1])
    assert (await client.stream("pump-7").send(t=2.0, x=[0.2])).seq == 2


async def test_a_lost_answer_comes_as_a_duplicate(client, server):
    """The repeat after a lost answer is applied once."""
    stream = await client.create_stream("pump-7", PUMP)
    server.lose_answers = 1
    assert (await stream.send(t=1.0, x=[0.1])).duplicate
    assert len(server.streams["pump-7"].samples) == 1


async def test_send_many_numbers_anew_behind_a_refused_sample(client):
    """The samples behind a refused one go on without a gap."""
    stream = await client.create_stream("pump-7", PUMP)
    batch = [{"t": 1.0, "x": [1.0]}, {"t": 2.0, "x": []}, {"t": 3.0, "x": [3.0]}]
    first, refused, last = await stream.send_many(batch)
    assert (first.seq, last.seq) == (1, 2)
    assert isinstance(refused, Invalid)


async def test_many_streams_at_once(client, server):
    """Twenty streams are fed side by side on one client."""
    streams = [await client.create_stream(f"pump-{n}", PUMP) for n in range(20)]
    answers = await asyncio.gather(*(stream.send(t=1.0, x=[0.1]) for stream in streams))
    assert {answer.seq for answer in answers} == {1}
    assert [info.id async for info in client.streams(limit=7)] == sorted(server.streams)


async def test_the_other_calls(client):
    """Labels, look ahead, state, description, deletion."""
    stream = await client.create_stream("pump-7", PUMP)
    await stream.send(t=1.0, x=[0.1])
    assert (await stream.label(1, 0.3)).seq == 1
    assert [item.duplicate for item in await stream.label_many({1: 0.3})] == [True]
    assert (await stream.predict()).last_seq == 1
    assert await stream.state() == b"safetensors"
    assert (await stream.info()).labels == 1
    assert not (await client.ready()).ready
    await stream.delete()
    with pytest.raises(NotFound):
        await stream.info()
