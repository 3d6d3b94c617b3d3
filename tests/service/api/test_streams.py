"""Creating, describing, listing and deleting streams over HTTP."""

from __future__ import annotations

import httpx
import pytest

FORECAST = {"task": "forecast", "features": ["flow", "pressure"], "horizon": [1]}


async def test_a_stream_is_created_once_and_confirmed_after_that(client: httpx.AsyncClient) -> None:
    """PUT is safe to repeat: 201, then 200 with the same description."""
    first = await client.put("/v1/streams/pump-7", json=FORECAST)
    second = await client.put("/v1/streams/pump-7", json=FORECAST)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.json()["spec"]["features"] == ["flow", "pressure"]


async def test_another_spec_for_the_same_id_is_a_conflict(client: httpx.AsyncClient, pump: str) -> None:
    """What a stream has learned belongs to its spec."""
    answer = await client.put(pump, json=FORECAST | {"horizon": [2]})
    assert (answer.status_code, answer.json()["code"]) == (409, "spec_conflict")


async def test_an_impossible_spec_names_the_field(client: httpx.AsyncClient) -> None:
    """A spec is configuration, so its refusal says what is wrong with it."""
    answer = await client.put("/v1/streams/a", json=FORECAST | {"cell": {"kind": "cfc", "units": 100_000}})
    assert (answer.status_code, answer.json()["code"]) == (422, "spec_invalid")
    assert "`cell.units` must lie in [1, 512]" in answer.json()["detail"]
    assert answer.json()["errors"] == [{"pointer": "/cell", "code": "spec_invalid"}]


async def test_a_stream_is_described_and_deleted(client: httpx.AsyncClient, pump: str) -> None:
    """After DELETE there is nothing."""
    assert (await client.get(pump)).json()["id"] == "pump-7"
    assert (await client.delete(pump)).status_code == 204
    gone = await client.get(pump)
    assert (gone.status_code, gone.json()["code"]) == (404, "stream_not_found")


async def test_pages_follow_their_cursor(client: httpx.AsyncClient) -> None:
    """Following `next_cursor` lists every stream once."""
    for name in "abcde":
        await client.put(f"/v1/streams/{name}", json=FORECAST)
    found, cursor = [], None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/streams", params=params)).json()
        found += [stream["id"] for stream in page["streams"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == list("abcde")


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "many", "1.5", ""])
async def test_a_limit_out_of_range_is_named(client: httpx.AsyncClient, limit: str) -> None:
    """Query parameters are refused by name, without their value."""
    answer = await client.get("/v1/streams", params={"limit": limit})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["errors"] == [{"parameter": "limit", "code": "invalid"}]


@pytest.mark.parametrize("stream_id", ["a", "A.b_c~d-e", "0", "a" * 128])
async def test_plain_names_are_valid_ids(client: httpx.AsyncClient, stream_id: str) -> None:
    """Letters, digits and . _ ~ - up to 128."""
    assert (await client.put(f"/v1/streams/{stream_id}", json=FORECAST)).status_code == 201


@pytest.mark.parametrize("stream_id", ["-a", ".a", "a" * 129, "a%20b", "a%7Bb%7D", "a:b", "%C3%BC", "a%0A", "a%00"])
@pytest.mark.parametrize(("method", "suffix"), [("PUT", ""), ("GET", ""), ("POST", "/samples"), ("POST", ":predict")])
async def test_other_ids_are_refused(client: httpx.AsyncClient, stream_id: str, method: str, suffix: str) -> None:
    """Everywhere with the same code, whatever the body."""
    answer = await client.request(method, f"/v1/streams/{stream_id}{suffix}", json=FORECAST)
    assert answer.headers["content-type"] == "application/problem+json"
    if ":b" in stream_id and not suffix.startswith(":"):
        assert answer.status_code in (404, 422)  # an unknown verb, or an invalid id
    else:
        assert (answer.status_code, answer.json()["code"]) == (422, "stream_id_invalid")
