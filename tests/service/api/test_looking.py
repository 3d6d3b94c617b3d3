"""What only looks: predict, history, state."""

from __future__ import annotations

import httpx
import pytest


async def test_a_look_ahead_needs_no_body(client: httpx.AsyncClient, pump: str) -> None:
    """Without one the stream's typical next sample is looked at; nothing changes."""
    answer = await client.post(f"{pump}:predict")
    assert (answer.status_code, answer.json()["last_seq"]) == (200, 0)
    assert (await client.get(pump)).json()["samples"] == 0


async def test_a_look_ahead_takes_a_sample(client: httpx.AsyncClient, pump: str) -> None:
    """`t` and `x` say what to look at."""
    answer = await client.post(f"{pump}:predict", json={"t": 9.0, "x": [1.5, None]})
    assert answer.json()["predictions"] == [{"horizon": 1, "y": [1.5, 0.0]}]


@pytest.mark.parametrize("stream_id", ["a.predict", "predict", "a~b"])
async def test_the_verb_does_not_eat_the_name(client: httpx.AsyncClient, stream_id: str) -> None:
    """Everything before the last colon is the stream's id."""
    await client.put(f"/v1/streams/{stream_id}", json={"task": "forecast", "features": ["x"]})
    assert (await client.post(f"/v1/streams/{stream_id}:predict")).status_code == 200


async def test_verbs_know_their_method(client: httpx.AsyncClient, pump: str) -> None:
    """A known verb with another method is 405 and says which one it takes; an unknown verb is 404."""
    wrong = await client.get(f"{pump}:predict")
    assert (wrong.status_code, wrong.json()["code"], wrong.headers["allow"]) == (405, "method_not_allowed", "POST")
    assert (await client.post(f"{pump}:explode")).status_code == 404


async def test_history_is_the_recent_past(client: httpx.AsyncClient, pump: str) -> None:
    """The last samples with the answers they got, oldest first."""
    samples = [{"t": float(t), "x": [t, None]} for t in range(1, 6)]
    await client.post(f"{pump}/samples", json={"samples": samples})
    points = (await client.get(f"{pump}/history", params={"limit": 2})).json()["points"]
    assert [point["seq"] for point in points] == [4, 5]
    assert points[-1]["x"] == [5.0, None]


async def test_the_state_is_a_file_to_take_away(client: httpx.AsyncClient, pump: str) -> None:
    """With a media type of its own and the stream's name."""
    answer = await client.get(f"{pump}/state")
    assert answer.headers["content-type"] == "application/vnd.liquidstream.state+safetensors"
    assert answer.headers["content-disposition"] == 'attachment; filename="pump-7.safetensors"'
    assert answer.content == b"\x00state"
