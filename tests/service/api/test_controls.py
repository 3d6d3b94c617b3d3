"""Commands over HTTP, on the real host: what is sent, what is answered, and which refusals there are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.messages import MAX_STATE_BYTES
from service.metrics import Metrics
from service.settings import Settings
from service.shard.engine_choice import choose_engine
from service.shard.host import StreamHost
from service.store import StreamStore

from .conftest import running

STATE = "application/vnd.liquidstream.state+safetensors"
SPEC: dict[str, Any] = {
    "task": "forecast",
    "features": ["flow"],
    "cell": {"kind": "cfc", "units": 4, "backbone_units": 4},
    "learner": {"window": 3, "warmup": 2},
}


@pytest.fixture
async def http(store: StreamStore, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The app on a real host; with a stream `pump-7` that has had twelve samples."""
    changed = settings.model_copy(update={"take_over": True})
    async with running(create_app(changed, StreamHost(changed, store, Metrics(), choose_engine("auto")))) as client:
        assert (await client.put("/v1/streams/pump-7", json=SPEC)).status_code == 201
        await send(client, "pump-7", 1, 12)
        yield client


async def send(client: httpx.AsyncClient, stream_id: str, first: int, last: int) -> list[Any]:
    samples = [{"seq": seq, "t": 60.0 * seq, "x": [float(seq % 5)]} for seq in range(first, last + 1)]
    answer = await client.post(f"/v1/streams/{stream_id}/samples", json={"samples": samples})
    assert answer.status_code == 200, answer.text
    return [result["predictions"] for result in answer.json()["results"]]


async def test_the_life_of_a_stream_under_attack(http: httpx.AsyncClient) -> None:
    """Pin, be misled, freeze, roll back, unfreeze: it predicts as the fork that nobody misled."""
    pump = "/v1/streams/pump-7"
    pinned = await http.post(f"{pump}:snapshot")
    fork = await http.post(f"{pump}:fork", json={"id": "control"})
    await http.post(f"{pump}/samples", json={"samples": [{"t": 6e4 + n, "x": [1e9 * (-1) ** n]} for n in range(40)]})
    frozen = await http.post(f"{pump}:freeze")
    listed = await http.get(f"{pump}/snapshots")
    back = await http.post(f"{pump}:rollback", json={"to": pinned.json()["position"], "if_seq": 52})
    thawed = await http.post(f"{pump}:unfreeze", json={})
    later = [{"t": 1e6 + 60.0 * n, "x": [float(n % 5)]} for n in range(10)]
    ours = await http.post(f"{pump}/samples", json={"samples": later})
    theirs = await http.post("/v1/streams/control/samples", json={"samples": later})

    assert (pinned.status_code, fork.status_code) == (201, 201)
    assert pinned.json() | {"created_at": 0} == {"position": 12, "seq": 12, "pinned": True, "created_at": 0}
    assert fork.json()["last_seq"] == 12
    assert (frozen.status_code, frozen.json()["frozen"]) == (200, True)
    assert pinned.json() in listed.json()["snapshots"]
    assert (back.json()["last_seq"], back.json()["samples"], back.json()["frozen"]) == (52, 12, True)
    assert not thawed.json()["frozen"]
    assert [r["predictions"] for r in ours.json()["results"]] == [r["predictions"] for r in theirs.json()["results"]]


async def test_a_snapshot_can_be_deleted(http: httpx.AsyncClient) -> None:
    """And is no longer there to go back to."""
    position = (await http.post("/v1/streams/pump-7:snapshot")).json()["position"]
    gone = await http.delete(f"/v1/streams/pump-7/snapshots/{position}")
    again = await http.delete(f"/v1/streams/pump-7/snapshots/{position}")
    back = await http.post("/v1/streams/pump-7:rollback", json={"to": position})

    assert gone.status_code == 204
    for answer in (again, back):
        assert (answer.status_code, answer.json()["code"]) == (404, "snapshot_not_found")


async def test_a_spec_is_patched(http: httpx.AsyncClient) -> None:
    """Merged: what is not named stays, `null` is the default again."""
    tuned = await http.patch("/v1/streams/pump-7", json={"learner": {"learning_rate": 0.01}, "late": "clamp"})
    reset = await http.patch("/v1/streams/pump-7", json={"learner": {"learning_rate": None}})

    assert tuned.json()["spec"]["learner"]["learning_rate"] == 0.01
    assert (tuned.json()["samples"], tuned.json()["spec"]["late"]) == (12, "clamp")
    assert reset.json()["spec"]["learner"]["learning_rate"] != 0.01
    assert reset.json()["spec"]["late"] == "clamp"
    assert reset.json()["spec"]["learner"]["window"] == 3


async def test_an_answer_about_other_targets_is_not_given_again(http: httpx.AsyncClient) -> None:
    """A sample from before the spec is a repeat, as unusual as it was; what was predicted is no answer any more."""
    sample = {"seq": 13, "t": 780.0, "x": [0.5]}
    first = await http.post("/v1/streams/pump-7/samples", json={"samples": [sample]})
    changed = await http.patch("/v1/streams/pump-7", json={"horizon": [1, 2, 5]})
    again = await http.post("/v1/streams/pump-7/samples", json={"samples": [sample]})

    assert (first.status_code, changed.status_code, again.status_code) == (200, 200, 200)
    assert first.json()["results"][0]["predictions"]
    assert again.json()["results"][0]["duplicate"]
    assert not again.json()["results"][0].get("predictions")
    assert first.json()["results"][0]["anomaly"] is not None
    assert again.json()["results"][0]["anomaly"] == first.json()["results"][0]["anomaly"]


async def test_a_state_goes_from_server_to_server(http: httpx.AsyncClient) -> None:
    """What one gives the other takes, also by PUT on the same stream; then both say the same."""
    state = await http.get("/v1/streams/pump-7/state")
    made = await http.put("/v1/streams/twin/state", content=state.content, headers={"Content-Type": STATE})
    again = await http.put("/v1/streams/twin/state", content=state.content, headers={"Content-Type": STATE})

    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json()["last_seq"] == again.json()["last_seq"] == 12
    assert await send(http, "twin", 13, 20) == await send(http, "pump-7", 13, 20)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", ":reset", b'{"if_seq": 3}', 409, "seq_conflict"),
        ("POST", ":reset", b'{"if_seq": -1}', 422, "invalid"),
        ("POST", ":reset", b'{"if_seq": "12"}', 422, "invalid"),
        ("POST", ":freeze", b'{"for": "ever"}', 422, "invalid"),
        ("POST", ":freeze", b"{", 400, "malformed"),
        ("POST", ":rollback", b"", 400, "malformed"),
        ("POST", ":rollback", b"{}", 422, "invalid"),
        ("POST", ":rollback", b'{"to": 5}', 404, "snapshot_not_found"),
        ("POST", ":fork", b'{"id": "a/b"}', 422, "stream_id_invalid"),
        ("POST", ":fork", b'{"id": "pump-7"}', 409, "stream_exists"),
        ("POST", ":melt", b"{}", 404, "not_found"),
        ("PATCH", "", b"[]", 422, "invalid"),
        ("PATCH", "", b'{"task": "poetry"}', 422, "spec_invalid"),
        ("PATCH", "", b'{"learner": {"window": 1e999}}', 422, "out_of_range"),
        ("DELETE", "/snapshots/x", b"", 422, "invalid"),
        ("DELETE", "/snapshots/99999999999999999999", b"", 422, "invalid"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    http: httpx.AsyncClient, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    """With a stable code, and the stream stays as it was."""
    before = (await http.get("/v1/streams/pump-7")).json()
    headers = {"Content-Type": "application/json"} if body else {}
    answer = await http.request(method, f"/v1/streams/pump-7{path}", content=body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert (await http.get("/v1/streams/pump-7")).json() == before


@pytest.mark.parametrize("verb", ["reset", "freeze", "unfreeze", "snapshot"])
async def test_a_stream_that_is_not_there_cannot_be_commanded(http: httpx.AsyncClient, verb: str) -> None:
    answer = await http.post(f"/v1/streams/nobody:{verb}")

    assert (answer.status_code, answer.json()["code"]) == (404, "stream_not_found")


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b"", STATE, 422, "state_invalid"),
        (b"\x80\x04\x95pickle", STATE, 422, "state_invalid"),
        (b"\xff" * 8 + b"{}", STATE, 422, "state_invalid"),
        (b"{}", "application/json", 415, "media_type"),
        (bytes(MAX_STATE_BYTES + 1), STATE, 413, "body_too_large"),
    ],
)
async def test_what_is_no_state_is_refused(
    http: httpx.AsyncClient, content: bytes, media_type: str, status: int, code: str
) -> None:
    """And no stream is made for it."""
    answer = await http.put("/v1/streams/new/state", content=content, headers={"Content-Type": media_type})

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert (await http.get("/v1/streams/new")).status_code == 404
