"""Labels that come after their sample, over HTTP."""

from __future__ import annotations

import httpx
import pytest


@pytest.fixture
async def sampled(client: httpx.AsyncClient, pump: str) -> str:
    """A stream with one sample."""
    await client.post(f"{pump}/samples", json={"t": 1.0, "x": [1, 2]})
    return pump


async def test_a_label_finds_its_sample(client: httpx.AsyncClient, sampled: str) -> None:
    """Joined by `seq`; the same again is a duplicate, another one a conflict."""
    answers = [await client.post(f"{sampled}/labels", json={"seq": 1, "y": y}) for y in (0.5, 0.5, 0.6)]
    assert [answer.status_code for answer in answers] == [200, 200, 409]
    assert [answer.json().get("duplicate") for answer in answers] == [False, True, None]


async def test_many_labels_get_as_many_answers(client: httpx.AsyncClient, sampled: str) -> None:
    """One for an unknown sample gets its problem in place."""
    labels = [{"seq": 9, "y": [1.0]}, {"seq": 1, "y": "walking"}]
    first, second = (await client.post(f"{sampled}/labels", json={"labels": labels})).json()["results"]
    assert first["problem"]["code"] == "label_unknown"
    assert second["seq"] == 1


@pytest.mark.parametrize("seq", [0, -1, 2**53])
async def test_a_number_that_no_sample_can_have_is_invalid(client: httpx.AsyncClient, sampled: str, seq: int) -> None:
    """`seq` counts from 1 and stays exact in every JSON reader."""
    answer = await client.post(f"{sampled}/labels", json={"seq": seq, "y": 1.0})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
