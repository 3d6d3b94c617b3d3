"""Admission: what the server has no time for is refused unread, and those who ask for little come in all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from liquid_core.spec import ModelSpec
from service.api.admission import FEWEST

SAMPLE = b'{"t": 1.0, "x": [1.0]}'
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def late(client: httpx.AsyncClient, app: FastAPI, host) -> httpx.AsyncClient:
    """A server whose event loop has been late for long, and whose host does not answer yet."""
    host.spec_of_all = ModelSpec(task="forecast", features=("x",))
    for _ in range(50):
        app.state.services.admission.adapt(1.0)
    host.is_open.clear()
    return client


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


async def test_a_loop_that_is_late_once_is_not_late(client: httpx.AsyncClient, app: FastAPI, host) -> None:
    """A snapshot, or a neighbour on the machine: it has to last."""
    host.spec_of_all = ModelSpec(task="forecast", features=("x",))
    host.is_open.clear()
    for lag in (1.0, 1.0, 1.0, 0.0) * 5:
        app.state.services.admission.adapt(lag)
    waiting = [send(client, f"stream-{number}") for number in range(4 * FEWEST)]
    await all_in(host, 4 * FEWEST)
    host.is_open.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}


async def test_a_punctual_loop_takes_more_and_more(late: httpx.AsyncClient, app: FastAPI, host) -> None:
    """As long as more is asked for."""
    waiting = [send(late, f"stream-{number}") for number in range(FEWEST)]
    await all_in(host, FEWEST)
    for _ in range(10):
        app.state.services.admission.adapt(0.0)
    more = [send(late, f"more-{number}") for number in range(10)]
    await all_in(host, FEWEST + 10)
    host.is_open.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting, *more)} == {200}


async def test_a_loop_that_is_neither_late_nor_punctual_takes_as_many_as_before(
    late: httpx.AsyncClient, app: FastAPI
) -> None:
    """It does as much as it can."""
    for _ in range(50):
        app.state.services.admission.adapt(0.003)
    assert f"liquid_admission_limit {float(FEWEST)}" in (await late.get("/metrics")).text


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
