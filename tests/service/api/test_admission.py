"""Admission: what the server has no time for is refused unread, and those who ask for little come in all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from liquid_core.spec import ModelSpec
from service.api.limit import FEWEST, MOST

SAMPLE = b'{"t": 1.0, "x": [1.0]}'
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def late(client: httpx.AsyncClient, app: FastAPI, host) -> httpx.AsyncClient:
    """A server whose event loop has been late for long, and whose host does not answer yet."""
    host.spec_of_all = ModelSpec(task="forecast", features=("x",))
    keep_late(app)
    host.is_open.clear()
    return client


def keep_late(app: FastAPI) -> None:
    """Have the loop late for a while, with as much in progress as may be."""
    admission = app.state.services.admission
    paths = [f"/v1/streams/early-{number}/samples" for number in range(MOST)]
    entered = [admission.enter(path) for path in paths]
    for _ in range(20):
        admission.adapt(0.02, 1.0)
    for path, since in zip(paths, entered, strict=True):
        admission.leave(path, since)
    admission.adapt(0.02, 1.0)


def send(client: httpx.AsyncClient, stream: str, body: object = SAMPLE) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(client.post(f"/v1/streams/{stream}/samples", content=body, headers=JSON))  # type: ignore[arg-type]


async def all_in(host, count: int) -> None:
    while len(host.submissions) < count:
        await asyncio.sleep(0)


async def test_a_late_loop_takes_few_requests_at_a_time(late: httpx.AsyncClient, host) -> None:
    """The others are told to come back; those that were taken are answered."""
    waiting = [send(late, f"stream-{number}") for number in range(FEWEST)]
    await all_in(host, FEWEST)
    refused = await send(late, "one-more")
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "overloaded", "1")
    host.is_open.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
    assert (await send(late, "one-more")).status_code == 200


async def test_a_refused_body_is_not_read(late: httpx.AsyncClient, host) -> None:
    """Not a byte of it."""
    for number in range(FEWEST):
        send(late, f"stream-{number}")
    await all_in(host, FEWEST)

    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    assert (await send(late, "one-more", body())).status_code == 503
    host.is_open.set()


async def test_a_greedy_stream_leaves_room_for_others(late: httpx.AsyncClient, host) -> None:
    """Of its many requests those beyond its share are refused as its own doing."""
    greedy = [send(late, "greedy") for _ in range(100)]
    await all_in(host, FEWEST // 2)
    polite = [send(late, f"polite-{number}") for number in range(FEWEST // 2)]
    await all_in(host, FEWEST)
    host.is_open.set()
    codes = [answer.status_code for answer in await asyncio.gather(*greedy)]
    assert codes.count(429) == 100 - FEWEST // 2
    assert {answer.status_code for answer in await asyncio.gather(*polite)} == {200}


async def test_a_punctual_loop_takes_many(client: httpx.AsyncClient, host) -> None:
    """They may well come at the same moment; but not without end."""
    host.spec_of_all = ModelSpec(task="forecast", features=("x",))
    host.is_open.clear()
    waiting = [send(client, f"stream-{number}") for number in range(MOST)]
    await all_in(host, MOST)
    assert (await send(client, "one-more")).status_code == 503
    host.is_open.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}


async def test_a_loop_that_is_punctual_again_takes_many_again(late: httpx.AsyncClient, app: FastAPI, host) -> None:
    """At once, as nobody is there who would have to wait."""
    for _ in range(100):
        app.state.services.admission.adapt(0.02, 0.0)
    waiting = [send(late, f"stream-{number}") for number in range(MOST)]
    await all_in(host, MOST)
    host.is_open.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}


async def test_how_it_is_can_be_asked_however_busy_it_is(late: httpx.AsyncClient, host) -> None:
    """Health and metrics are not for sale."""
    for number in range(FEWEST):
        send(late, f"stream-{number}")
    await all_in(host, FEWEST)
    for path in ("/livez", "/readyz", "/metrics"):
        assert (await late.get(path)).status_code == 200
    text = (await late.get("/metrics")).text
    assert f"liquid_admission_limit {float(FEWEST)}" in text
    host.is_open.set()
