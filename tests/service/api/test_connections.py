"""Connections, with clients that misbehave on raw sockets: each is bounded, and none stays for ever."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect

from service.server import Server
from service.settings import Settings

SPEC = {"task": "forecast", "features": ["x"]}


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    return Settings(data_dir=tmp_path, **getattr(request, "param", {}))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes milliseconds here."""
    monkeypatch.setattr("service.connections.SWEEP_INTERVAL_S", 0.02)


@pytest.fixture(autouse=True)
def _short_pipes(server: Server) -> None:
    """The kernel holds little of what is sent and not read: otherwise it would be megabytes."""
    for listening in server.servers[0].sockets:
        listening._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # type: ignore[attr-defined]


@asynccontextmanager
async def raw(address: str, *, small: bool = False) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection; `small`: with little room for what the server sends."""
    name, _, port = address.partition(":")
    plain = socket.socket()
    if small:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, (name, int(port)))
    reader, writer = await asyncio.open_connection(sock=plain)
    try:
        yield reader, writer
    finally:
        writer.close()


async def ends(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server ends the connection."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


def cut(server: Server, reason: str) -> float:
    counter = server.config.app.state.services.metrics.connections_cut
    return float(counter.labels(reason=reason)._value.get())


@pytest.mark.parametrize("begun", [b"", b"GET /live", b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"\r\n"])
@pytest.mark.parametrize("after_a_request", [False, True])
async def test_a_head_that_does_not_come_is_not_waited_for(
    app: FastAPI, address: str, server: Server, begun: bytes, after_a_request: bool
) -> None:
    """Nothing, a beginning, or empty lines, as the first of a connection or later."""
    services = app.state.services
    services.settings = services.settings.model_copy(update={"head_timeout_s": 0.05})
    async with raw(address) as (reader, writer):
        if after_a_request:
            writer.write(f"GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
        if begun or not after_a_request:  # a connection that rests between requests has uvicorn's time
            writer.write(begun)
            assert await ends(reader) == b""
            assert cut(server, "head") == 1


async def test_a_body_that_does_not_come_is_not_waited_for(app: FastAPI, address: str) -> None:
    """A byte a second is refused with `too_slow`, and the connection ends."""
    services = app.state.services
    services.settings = services.settings.model_copy(update={"body_timeout_s": 0.05})
    async with raw(address) as (reader, writer):
        head = f"POST /v1/streams/a/samples HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        answer = await ends(reader)
    assert answer.startswith(b"HTTP/1.1 408")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_slow"
    assert services.bytes_held.held == 0


async def send_for_ever(client: ClientConnection) -> None:
    for t in itertools.count():
        await client.send(json.dumps({"type": "sample", "stream": "a", "t": float(t), "x": [1.0]}))


async def test_a_socket_that_is_never_read_is_cut(
    app: FastAPI, address: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read from no more once its answers pile up, and then it ends, with all that it held."""
    monkeypatch.setattr("service.connections.STALLED_S", 0.1)
    services = app.state.services
    async with httpx.AsyncClient(base_url=f"http://{address}") as http:
        (await http.put("/v1/streams/a", json=SPEC)).raise_for_status()
    name, _, port = address.partition(":")
    plain = socket.create_connection((name, int(port)))
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client = await connect(f"ws://{address}/v1/ws", sock=plain, close_timeout=0.1, ping_interval=None)
    client.transport.pause_reading()
    sending = asyncio.create_task(send_for_ever(client))
    while not cut(server, "stalled"):
        await asyncio.sleep(0.01)
    while services.sessions:
        await asyncio.sleep(0.01)
    sending.cancel()
    assert services.bytes_held.held == 0
    assert services.metrics.ws_connections._value.get() == 0
    await client.close()


async def test_answers_that_are_never_read_end_the_connection(
    address: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over plain HTTP too: the request that waits to be read ends with its connection."""
    monkeypatch.setattr("service.connections.STALLED_S", 0.1)
    async with raw(address, small=True) as (reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(100):
            writer.write(f"GET /openapi.json HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        while not cut(server, "stalled"):
            await asyncio.sleep(0.01)
    while server.server_state.connections or server.server_state.tasks:
        await asyncio.sleep(0.01)


async def test_beyond_its_bound_the_server_takes_no_requests(app: FastAPI, address: str) -> None:
    """It says so and ends the connection; whether it lives can still be asked."""
    app.state.services.max_connections = 2
    async with raw(address), raw(address), httpx.AsyncClient(base_url=f"http://{address}") as http:
        refused = await http.get("/v1/streams")
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert (refused.headers["retry-after"], refused.headers["connection"]) == ("1", "close")
        assert (await http.get("/livez")).status_code == 200


async def test_far_beyond_its_bound_connections_are_not_even_heard(
    app: FastAPI, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that files last, whatever comes."""
    monkeypatch.setattr("service.connections.SPARE", 0)
    app.state.services.max_connections = 1
    async with raw(address) as (_, first), raw(address) as (reader, writer):
        writer.write(f"GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        assert await ends(reader) == b""
        assert not first.is_closing()


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET /\xff HTTP/1.1\r\n\r\n", b"no\r\n\r\n"]
)
async def test_what_is_not_http_is_a_problem(address: str, nonsense: bytes) -> None:
    """In the shape of all others."""
    async with raw(address) as (reader, writer):
        writer.write(nonsense)
        head, _, body = (await ends(reader)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in head
    assert json.loads(body)["code"] == "malformed"


@pytest.mark.parametrize("piece", [b"X: " + b"x" * 1000 + b"\r\n", b"x" * 1000])
async def test_a_head_is_bounded(address: str, piece: bytes) -> None:
    """In headers, and in a header."""
    async with raw(address) as (reader, writer):
        writer.write(f"GET /livez HTTP/1.1\r\nHost: {address}\r\nX: ".encode())
        ending = asyncio.create_task(ends(reader))
        sent = 0
        while not ending.done() and sent < 1000:
            writer.write(piece)
            sent += 1
            await asyncio.sleep(0)
        head, _, body = (await ending).partition(b"\r\n\r\n")
    assert sent < 1000
    if head:  # what was sent after the end may have taken the answer with it
        assert json.loads(body)["code"] == "malformed"


async def test_bodies_are_bounded_together(app: FastAPI, address: str) -> None:
    """Each may be as large as it may be, but not all at the same time."""
    services = app.state.services
    services.bytes_held._limit = 100_000
    head = f"POST /v1/streams/a/samples HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
    async with raw(address) as (_, first), raw(address) as (reader, second):
        first.write(f"{head}Content-Length: 200000\r\n\r\n".encode() + b" " * 90_000)
        while services.bytes_held.held < 90_000:
            await asyncio.sleep(0.005)
        second.write(f"{head}Content-Length: 200000\r\n\r\n".encode() + b" " * 20_000)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert answer.startswith("HTTP/1.1 503")
        assert "retry-after: 1" in answer.lower()
    while services.bytes_held.held:
        await asyncio.sleep(0.005)


SAMPLE = b'{"t": 1.0, "x": [1.0]}'


@pytest.fixture
async def busy(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """A server that has as much in progress as it may have, two requests."""
    monkeypatch.setattr("service.api.limit.MOST", 2)
    admission = app.state.services.admission
    for _ in range(2):
        admission.enter("/v1/streams/greedy/samples")
    monkeypatch.setattr(admission._limit, "_now", 2.0)
    return app


def sample_of(address: str, stream: str, body: bytes = SAMPLE) -> bytes:
    head = f"POST /v1/streams/{stream}/samples HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.usefixtures("busy")
async def test_a_connection_survives_a_refusal(app: FastAPI, address: str, host) -> None:
    """The refused body is dropped, and the next request, when there is time again, is answered."""
    async with httpx.AsyncClient(base_url=f"http://{address}") as http:
        refused = await http.post("/v1/streams/a/samples", json={"t": 1.0, "x": [1.0]})
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert (refused.headers["retry-after"], refused.headers["content-type"]) == ("1", "application/problem+json")
        for _ in range(2):
            app.state.services.admission.leave("/v1/streams/greedy/samples", since=0.0)
        assert (await http.post("/v1/streams/a/samples", json={"t": 1.0, "x": [1.0]})).status_code == 404
        assert len(app.state.services.connections) == 1
    assert host.submissions == [("a", 1)]


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("settings", [{"api_keys": ("k" * 32,)}], indirect=True)
async def test_who_has_no_key_does_not_hear_how_busy_it_is(app: FastAPI, address: str, host) -> None:
    """Nor whether a stream is: it is the door's answer, as cheap as the other."""
    path = "/v1/streams/greedy/samples"
    async with httpx.AsyncClient(base_url=f"http://{address}") as http:
        for wrong in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "k" * 32}):
            unknown = await http.post(path, json={"t": 1.0, "x": [1.0]}, headers=wrong)
            assert (unknown.status_code, unknown.json()["code"]) == (401, "unauthorized")
            assert unknown.headers["www-authenticate"] == "Bearer"
            assert "retry-after" not in unknown.headers
        known = {"Authorization": f"Bearer {'k' * 32}"}
        assert (await http.post(path, json={"t": 1.0, "x": [1.0]}, headers=known)).status_code == 503
        for _ in range(2):
            app.state.services.admission.leave(path, since=0.0)
        door = await http.post(path, json={"t": 1.0, "x": [1.0]})
        own = {"request_id", "instance"}
        assert {name: value for name, value in door.json().items() if name not in own} == unknown.json()
    assert app.state.services.metrics.auth_failures.labels(reason="key")._value.get() == 4
    assert host.submissions == []


@pytest.mark.usefixtures("busy")
async def test_a_refused_connection_does_not_rest_for_ever(
    address: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As any other that is not used again."""
    monkeypatch.setattr(server.config, "timeout_keep_alive", 0.05)
    async with raw(address) as (reader, writer):
        writer.write(sample_of(address, "a"))
        assert (await ends(reader)).startswith(b"HTTP/1.1 503")


@pytest.mark.usefixtures("busy")
async def test_a_large_body_that_is_refused_is_not_waited_for(address: str) -> None:
    """The answer comes when the head is there, and the connection ends."""
    async with raw(address) as (reader, writer):
        writer.write(sample_of(address, "a", b" " * 100_000)[:500])
        answer = await ends(reader)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"Connection: close" in answer


async def test_a_request_behind_another_waits_for_its_turn_to_be_refused(busy: FastAPI, address: str, host) -> None:
    """Answers of one connection come in the order of its requests."""
    host.is_open.clear()
    async with raw(address) as (reader, writer):
        for _ in range(2):
            busy.state.services.admission.leave("/v1/streams/greedy/samples", since=0.0)
        async with httpx.AsyncClient(base_url=f"http://{address}") as http:
            (await http.put("/v1/streams/a", json=SPEC)).raise_for_status()
        writer.write(sample_of(address, "a"))
        while not host.submissions:
            await asyncio.sleep(0.005)
        for _ in range(2):
            busy.state.services.admission.enter("/v1/streams/greedy/samples")
        writer.write(sample_of(address, "b"))
        await asyncio.sleep(0.02)
        host.is_open.set()
        first = await reader.readuntil(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200")
        second = await reader.readuntil(b"HTTP/1.1 503 ")
        assert b'"seq":1' in second
