"""Samples over HTTP: one or many, repeated, out of order."""

from __future__ import annotations

import httpx
from fastapi import FastAPI

from service.problems import Problem
from service.settings import Settings


async def test_one_sample_gets_one_answer(client: httpx.AsyncClient, pump: str) -> None:
    """The answer names the sample's number and its predictions."""
    answer = await client.post(f"{pump}/samples", json={"t": 1.0, "x": [3.1, None]})
    assert answer.status_code == 200
    assert answer.json()["seq"] == 1
    said = {key: [3.1, 0.0] for key in ("y", "median", "lower", "upper")}
    assert answer.json()["predictions"] == [{"horizon": 1} | said]


async def test_many_samples_get_as_many_answers_in_their_order(client: httpx.AsyncClient, pump: str) -> None:
    """A wrong one among them gets a problem in its place; the others go on."""
    samples = [{"t": 1.0, "x": [1, 2]}, {"t": 2.0, "x": [1]}, {"t": 3.0, "x": [1, 2]}]
    answer = await client.post(f"{pump}/samples", json={"samples": samples})
    first, second, third = answer.json()["results"]
    assert (answer.status_code, first["seq"], third["seq"]) == (200, 1, 2)
    assert second["problem"]["code"] == "dimension"


async def test_a_refused_sample_answers_with_its_own_status(client: httpx.AsyncClient, pump: str) -> None:
    """A single sample's problem is the response's, with what the client needs to go on."""
    answer = await client.post(f"{pump}/samples", json={"t": 1.0, "x": [1, 2], "seq": 5})
    assert (answer.status_code, answer.json()["code"], answer.json()["expected_seq"]) == (409, "seq_gap", 1)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_the_same_sample_again_is_a_duplicate(client: httpx.AsyncClient, pump: str) -> None:
    """`seq` makes a retry safe; another sample under the same number is a conflict."""
    body = {"t": 1.0, "x": [1, 2], "seq": 1}
    first, again = [(await client.post(f"{pump}/samples", json=body)).json() for _ in range(2)]
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert first["predictions"] == again["predictions"]
    other = await client.post(f"{pump}/samples", json=body | {"x": [1, 3]})
    assert (other.status_code, other.json()["code"]) == (409, "seq_conflict")


async def test_a_label_may_be_called_samples(client: httpx.AsyncClient, pump: str) -> None:
    """Whether a body is of one or many is told by its first key, not by words in it."""
    answer = await client.post(f"{pump}/samples", json={"y": "samples", "t": 1.0, "x": [1, 2]})
    assert answer.json()["seq"] == 1


async def test_too_many_samples_are_refused_together(client: httpx.AsyncClient, app: FastAPI, pump: str) -> None:
    """The limit is checked before anything is applied."""
    limit: int = app.state.services.settings.max_items
    samples = [{"t": float(index), "x": [1, 2]} for index in range(limit + 1)]
    answer = await client.post(f"{pump}/samples", json={"samples": samples})
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_items")
    assert (await client.get(pump)).json()["samples"] == 0


async def test_an_overload_says_when_to_come_back(client: httpx.AsyncClient, host, pump: str) -> None:
    """`Retry-After` in whole seconds for everybody, `retry_after_ms` for our own clients."""
    host.failure = Problem("overloaded", "too much.", retry_after_s=1.2)
    answer = await client.post(f"{pump}/samples", json={"t": 1.0, "x": [1, 2]})
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["retry_after_ms"]) == (503, "2", 1200)


async def test_no_samples_are_no_work(client: httpx.AsyncClient, pump: str) -> None:
    """An empty list is answered with an empty list."""
    assert (await client.post(f"{pump}/samples", json={"samples": []})).json() == {"results": []}


async def test_a_server_on_its_way_down_takes_nothing(client: httpx.AsyncClient, app: FastAPI, pump: str) -> None:
    """While draining every request is told to come back later."""
    app.state.services.draining = True
    answer = await client.post(f"{pump}/samples", json={"t": 1.0, "x": [1, 2]})
    assert (answer.status_code, answer.json()["code"]) == (503, "draining")
    assert (await client.get("/readyz")).json()["reasons"] == ["draining"]


async def test_the_item_limit_is_a_setting(open_app, tmp_path) -> None:
    """`max_items` bounds one request."""
    async with open_app(Settings(data_dir=tmp_path, max_items=1)) as client:
        await client.put("/v1/streams/a", json={"task": "forecast", "features": ["x"]})
        two = {"samples": [{"t": 1, "x": [1]}, {"t": 2, "x": [1]}]}
        assert (await client.post("/v1/streams/a/samples", json=two)).json()["code"] == "too_many_items"
