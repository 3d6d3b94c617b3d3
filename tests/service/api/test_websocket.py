"""The WebSocket, over a real port with a real client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from service.api.websocket import MAX_INFLIGHT
from service.problems import Problem
from service.server import Server

SPEC = {"task": "forecast", "features": ["x"]}


@pytest.fixture(autouse=True)
async def _streams(address: str) -> None:
    """Streams a and b, with one feature each."""
    async with httpx.AsyncClient(base_url=f"http://{address}") as client:
        for name in ("a", "b"):
            (await client.put(f"/v1/streams/{name}", json=SPEC)).raise_for_status()


def opened(address: str, **options: Any) -> connect:
    return connect(f"ws://{address}/v1/ws", **options)


async def ask(socket: ClientConnection, message: dict[str, Any]) -> dict[str, Any]:
    await socket.send(json.dumps(message))
    return json.loads(await socket.recv())


def sample(stream: str, t: float, **more: Any) -> dict[str, Any]:
    return {"type": "sample", "stream": stream, "t": t, "x": [t], **more}


async def close_code(socket: ClientConnection) -> int | None:
    await socket.wait_closed()
    return socket.close_code


async def test_a_session_says_where_streams_stand(address: str) -> None:
    """`welcome` answers `hello` with the last number of every stream that it names."""
    async with opened(address, subprotocols=["liquid.v1.json"]) as socket:
        assert socket.subprotocol == "liquid.v1.json"
        await ask(socket, sample("a", 1.0))
        welcome = await ask(socket, {"type": "hello", "resume": ["a", "b", "new"]})
    assert welcome["last_seq"] == {"a": 1, "b": 0, "new": 0}
    assert (welcome["type"], welcome["max_inflight"]) == ("welcome", MAX_INFLIGHT)


async def test_samples_and_labels_get_results(address: str) -> None:
    """Every result names its stream, its number and what it is for; no hello is needed."""
    async with opened(address) as socket:
        result = await ask(socket, sample("a", 1.0, seq=1))
        label = await ask(socket, {"type": "label", "stream": "a", "seq": 1, "y": 0.5})
    assert (result["type"], result["for"], result["stream"], result["seq"]) == ("result", "sample", "a", 1)
    assert result["predictions"][0]["y"] == [1.0]
    assert (label["for"], label["seq"], label["duplicate"]) == ("label", 1, False)


async def test_a_streams_answers_come_in_order(address: str) -> None:
    """Refusals, labels and samples of one stream do not overtake each other, however many are in flight."""
    messages: list[dict[str, Any]] = []
    for number in range(1, 41):
        messages += [sample("a", number, seq=number), sample("b", number, seq=number)]
        messages.append({"type": "label", "stream": "a", "seq": number, "y": 1.0})
        messages.append(sample("a", number, seq=number, unknown=1))
    async with opened(address) as socket:
        for message in messages:
            await socket.send(json.dumps(message))
        answers = [json.loads(await socket.recv()) for _ in messages]
    kinds = [
        (answer["seq"], "nack" if answer["type"] == "nack" else answer["for"])
        for answer in answers
        if answer["stream"] == "a"
    ]
    assert kinds == [(number, kind) for number in range(1, 41) for kind in ("sample", "label", "nack")]
    assert [answer["seq"] for answer in answers if answer["stream"] == "b"] == list(range(1, 41))


async def test_streams_do_not_wait_for_each_other(address: str, host) -> None:
    """While one stream's sample is being worked on, the other's is handed over; what gathers goes together."""
    host.is_open.clear()
    async with opened(address) as socket:
        for t in (1.0, 2.0, 3.0):
            await socket.send(json.dumps(sample("a", t)))
        await socket.send(json.dumps(sample("b", 1.0)))
        while ("b", 1) not in host.submissions:
            await asyncio.sleep(0.005)
        assert host.submissions[0][0] == "a"
        host.is_open.set()
        answers = [json.loads(await socket.recv()) for _ in range(4)]
    assert [answer["seq"] for answer in answers if answer["stream"] == "a"] == [1, 2, 3]
    assert sum(count for stream, count in host.submissions if stream == "a") == 3


async def test_no_more_is_read_than_the_window_holds(address: str, host, server: Server) -> None:
    """With the window full the socket is left alone, and read on as answers go out."""
    host.is_open.clear()
    count = MAX_INFLIGHT + 50
    incoming = server.config.app.state.services.metrics.ws_messages.labels(direction="in")
    async with opened(address) as socket:
        for t in range(count):
            await socket.send(json.dumps(sample("a", float(t))))
        while incoming._value.get() < MAX_INFLIGHT:
            await asyncio.sleep(0.005)
        await socket.ping()
        await asyncio.sleep(0.05)
        assert incoming._value.get() == MAX_INFLIGHT
        host.is_open.set()
        answers = [json.loads(await socket.recv()) for _ in range(count)]
    assert [answer["seq"] for answer in answers] == list(range(1, count + 1))


@pytest.mark.parametrize(
    ("message", "stream", "seq", "code"),
    [
        ({"type": "sample", "stream": "none", "t": 1, "x": [1], "seq": 3}, "none", 3, "stream_not_found"),
        ({"type": "sample", "stream": "a b", "t": 1, "x": [1]}, "a b", None, "stream_id_invalid"),
        ({"type": "sample", "stream": "a", "t": 1, "x": ["1"], "seq": 3}, "a", 3, "invalid"),
        ({"type": "sample", "stream": "a", "t": 1, "x": [float("nan")], "seq": 3}, "a", 3, "not_finite"),
        ({"type": "sample", "stream": "a", "t": 1, "x": [1, 2]}, "a", None, "dimension"),
        ({"type": "sample", "stream": 7, "t": 1, "x": [1]}, None, None, "invalid"),
        ({"type": "explode"}, None, None, "invalid"),
        ({"type": "hello", "resume": ["{"]}, None, None, "stream_id_invalid"),
        ({"type": "hello", "resume": ["a"] * 2000}, None, None, "too_many_items"),
        ([], None, None, "invalid"),
    ],
)
async def test_a_wrong_message_is_refused_and_the_session_goes_on(
    address: str, message: Any, stream: str | None, seq: int | None, code: str
) -> None:
    """A `nack` says which message it means, as far as that can be made out, and carries the problem."""
    async with opened(address) as socket:
        nack = await ask(socket, message)
        assert (nack["type"], nack["stream"], nack["seq"], nack["problem"]["code"]) == ("nack", stream, seq, code)
        assert (await ask(socket, sample("a", 1.0)))["type"] == "result"


@pytest.mark.parametrize("text", ["", "{", "hello", "[" * 50_000])
async def test_text_that_is_not_json_ends_the_session(address: str, text: str) -> None:
    """Nobody can say which message it was meant to be: close code 1007."""
    async with opened(address) as socket:
        await socket.send(text)
        assert await close_code(socket) == 1007


async def test_binary_frames_are_not_spoken(address: str) -> None:
    """Close code 1003."""
    async with opened(address) as socket:
        await socket.send(b"{}")
        assert await close_code(socket) == 1003


async def test_a_message_is_bounded(address: str) -> None:
    """One larger than a body may be closes with 1009."""
    async with opened(address) as socket:
        await socket.send(" " * (1024 * 1024 + 1))
        assert await close_code(socket) == 1009


async def test_another_subprotocol_is_refused(address: str) -> None:
    """Before the connection is open, with a problem."""
    with pytest.raises(InvalidStatus) as refusal:
        async with opened(address, subprotocols=["mqtt"]):
            pass
    assert json.loads(refusal.value.response.body)["code"] == "media_type"


async def test_a_client_that_takes_nothing_is_given_up(
    app: FastAPI, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that cannot be sent for a while close the connection with 1013."""
    assert server.started
    monkeypatch.setattr("service.api.websocket.SEND_TIMEOUT_S", 0.05)
    closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    incoming = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": json.dumps(sample("a", 1.0))}]

    async def receive() -> Message:
        return incoming.pop(0) if incoming else {"type": "websocket.disconnect", "code": await closed}

    async def send(message: Message) -> None:
        if message["type"] == "websocket.send":
            await asyncio.Event().wait()
        elif message["type"] == "websocket.close":
            closed.set_result(message["code"])

    headers = [(b"host", b"127.0.0.1")]
    await app({"type": "websocket", "path": "/v1/ws", "headers": headers, "query_string": b""}, receive, send)
    assert closed.result() == 1013


async def test_connections_are_counted_and_bounded(address: str, app: FastAPI) -> None:
    """Beyond `max_sessions` the server asks to come back later, before the connection is open."""
    services = app.state.services
    services.settings = services.settings.model_copy(update={"max_sessions": 1})
    async with opened(address) as socket:
        await ask(socket, sample("a", 1.0))
        with pytest.raises(InvalidStatus) as refusal:
            async with opened(address):
                pass
    assert json.loads(refusal.value.response.body)["code"] == "overloaded"
    assert refusal.value.response.headers["Retry-After"] == "1"


async def test_a_problem_of_the_whole_hand_over_reaches_every_message(address: str, host) -> None:
    """Overload refuses each of the messages that were handed over, with the time to come back."""
    host.failure = Problem("overloaded", "too much.", retry_after_s=0.5)
    async with opened(address) as socket:
        nacks = [await ask(socket, sample("a", float(t), seq=t)) for t in (1, 2)]
    said = [(nack["for"], nack["seq"], nack["problem"]["retry_after_ms"]) for nack in nacks]
    assert said == [("sample", 1, 500), ("sample", 2, 500)]


async def test_a_bug_is_a_nack_that_tells_nothing(address: str, host) -> None:
    """The session lives on; the log has the rest."""
    host.failure = RuntimeError("hunter2")
    async with opened(address) as socket:
        nack = await ask(socket, sample("a", 1.0))
    assert nack["problem"]["code"] == "internal"
    assert "hunter2" not in json.dumps(nack)


async def test_a_stop_drains_first(address: str, server: Server, host) -> None:
    """What was taken is answered, the client is told to come back, and the connection closes with 1012."""
    host.is_open.clear()
    async with opened(address) as socket:
        await socket.send(json.dumps(sample("a", 1.0)))
        while not host.submissions:
            await asyncio.sleep(0.005)
        server.should_exit = True
        drain = json.loads(await socket.recv())
        host.is_open.set()
        result = json.loads(await socket.recv())
        assert (drain["type"], drain["retry_after_ms"]) == ("drain", 1000)
        assert (result["type"], result["seq"]) == ("result", 1)
        assert await close_code(socket) == 1012
    while not host.drained:
        await asyncio.sleep(0.005)


async def test_a_client_that_leaves_takes_nothing_with_it(address: str, server: Server, host) -> None:
    """What was handed over is finished, the session ends, and it is counted."""
    host.is_open.clear()
    services = server.config.app.state.services
    async with opened(address) as socket:
        await socket.send(json.dumps(sample("a", 1.0)))
        while not host.submissions:
            await asyncio.sleep(0.005)
    assert len(services.sessions) == 1
    host.is_open.set()
    while services.sessions:
        await asyncio.sleep(0.005)
    assert len(host.streams["a"].samples) == 1
    assert services.metrics.ws_connections._value.get() == 0
