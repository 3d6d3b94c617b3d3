"""`X-Request-Timeout-Ms`: how long the caller waits reaches the host."""

from __future__ import annotations

import asyncio

import httpx
import pytest

BODIES = {"samples": {"t": 1.0, "x": [1.0, 2.0]}, "labels": {"seq": 1, "y": 1.0}}


@pytest.mark.parametrize("part", BODIES)
async def test_the_host_is_told_when_the_caller_stops_waiting(
    client: httpx.AsyncClient, host, pump: str, part: str
) -> None:
    """As a moment on the event loop's clock; without the header there is none."""
    before = asyncio.get_running_loop().time()
    await client.post(f"{pump}/{part}", json=BODIES[part], headers={"X-Request-Timeout-Ms": "60000"})
    await client.post(f"{pump}/{part}", json=BODIES[part])
    told, nothing = host.deadlines
    assert before + 60 <= told <= asyncio.get_running_loop().time() + 60
    assert nothing is None


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "1e3", "99999999", "\u0663"])
async def test_what_is_no_number_of_milliseconds_is_refused(
    client: httpx.AsyncClient, host, pump: str, value: str
) -> None:
    """Before anything is done."""
    answer = await client.post(
        f"{pump}/samples", json=BODIES["samples"], headers={"X-Request-Timeout-Ms": value.encode()}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["errors"] == [{"parameter": "X-Request-Timeout-Ms", "code": "invalid"}]
    assert not host.submissions
