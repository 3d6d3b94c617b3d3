"""The door: who gets in, from where, and that no route is beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.types import Message

from service.app import create_app
from service.messages import Readiness
from service.security import KeyRing
from service.settings import Settings

KEY, OTHER = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
OPEN = {("GET", "/livez"), ("GET", "/readyz"), ("GET", "/"), ("HEAD", "/"), ("GET", "/dashboard/{path}")}


class IdleHost:
    """A host without streams: behind the door nothing is asked of it here."""

    async def start(self) -> None: ...

    async def drain(self) -> None: ...

    def readiness(self) -> Readiness:
        return Readiness(ready=True, store="none", durability="memory", engine="none", reasons=[])

    async def list(self, *_: Any) -> dict[str, Any]:
        return {"streams": [], "next_cursor": None}


def app_with(tmp_path: Path, **settings: Any) -> FastAPI:
    return create_app(Settings(data_dir=tmp_path, **settings), IdleHost())  # type: ignore[arg-type]


@asynccontextmanager
async def calling(app: FastAPI, host: str = "127.0.0.1:8765") -> AsyncIterator[httpx.AsyncClient]:
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            yield client


async def knock(app: FastAPI, path: str, headers: dict[str, str]) -> int:
    """Ask for a WebSocket: 101 where it opens, else the status of the refusal."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.disconnect", "code": 1000} if sent else {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": path,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "query_string": b"",
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    await app(scope, receive, send)
    return 101 if sent[0]["type"] == "websocket.accept" else int(sent[0]["status"])


def leaves(routes: list[Any]) -> Iterator[BaseRoute]:
    """All routes of an app, however routers were put together."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from leaves(inner.routes)
        else:
            yield route


def all_calls(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of everything that the app answers; a WebSocket's method is ``WS``."""
    for route in leaves(app.routes):
        if isinstance(route, Mount):
            yield "GET", route.path + "/{path}"
        elif isinstance(route, WebSocketRoute):
            yield "WS", route.path
        else:
            for method in route.methods or ():  # type: ignore[attr-defined]
                yield method, getattr(route, "path_format", None) or route.path  # type: ignore[attr-defined]


async def test_no_route_is_beside_the_door(tmp_path: Path) -> None:
    """With a key set, every route of the app, whatever its kind, refuses who shows none, except those that are open."""
    app = app_with(tmp_path, api_keys=(KEY,))
    calls = set(all_calls(app))
    assert calls >= {("WS", "/v1/ws"), ("POST", "/v1/streams/{stream_id}:predict"), ("GET", "/openapi.json")}
    assert calls >= OPEN
    async with calling(app) as client:
        for method, template in calls:
            path = template.replace("{stream_id}", "pump-7").replace("{path}", "app.js")
            if method == "WS":
                assert await knock(app, path, {"Host": "127.0.0.1"}) == 401
                assert await knock(app, path, {"Authorization": f"Bearer {KEY}"}) == 101
            elif (method, template) in OPEN:
                assert (await client.request(method, path)).status_code == 200, path
            else:
                answer = await client.request(method, path)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
                assert method == "HEAD" or answer.json()["code"] == "unauthorized"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {KEY}", 200),
        (f"bearer {OTHER}", 200),
        (f"Bearer {KEY[:-1]}", 401),
        (f"Bearer {KEY}0", 401),
        (f"Basic {KEY}", 401),
        (KEY, 401),
        ("Bearer", 401),
        ("", 401),
    ],
)
async def test_one_of_the_keys_opens(tmp_path: Path, authorization: str, status: int) -> None:
    """Several keys may be valid at a time, so that one can be replaced."""
    async with calling(app_with(tmp_path, api_keys=(KEY, OTHER))) as client:
        answer = await client.get("/v1/streams", headers={"Authorization": authorization})
    assert answer.status_code == status


async def test_with_a_key_paths_that_are_not_there_need_one_too(tmp_path: Path) -> None:
    """Whoever shows none does not learn which paths exist."""
    async with calling(app_with(tmp_path, api_keys=(KEY,))) as client:
        for path in ("/nothing", "/livez/", "/dashboard", "/LIVEZ"):
            assert (await client.get(path)).status_code == 401


async def test_metrics_are_open_only_if_told_so(tmp_path: Path) -> None:
    """A scraper may be let in without a key, to `/metrics` alone."""
    async with calling(app_with(tmp_path, api_keys=(KEY,), public_metrics=True)) as client:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/version")).status_code == 401


@given(st.text(), st.text())
def test_only_a_key_of_the_ring_opens(key: str, shown: str) -> None:
    """Whatever is shown."""
    opens = KeyRing([key]).opens(f"Bearer {shown}")
    assert opens == (shown.strip().encode("latin-1", "replace") == key.encode())


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8765", "localhost", "LOCALHOST:1", "localhost.", "[::1]:8765", "127.8.8.8", "box.lan:80"]
)
async def test_without_a_key_the_names_of_this_machine_are_answered(tmp_path: Path, host: str) -> None:
    """Loopback under all its names, and what the operator has named."""
    async with calling(app_with(tmp_path, allowed_hosts=("Box.lan",))) as client:
        assert (await client.get("/livez", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost@evil", "", "["]
)
async def test_without_a_key_other_names_are_not(tmp_path: Path, host: str) -> None:
    """A name of somebody else that points here is DNS rebinding."""
    async with calling(app_with(tmp_path)) as client:
        answer = await client.get("/livez", headers={"Host": host})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    async with calling(app_with(tmp_path, insecure=True)) as client:
        assert (await client.get("/livez", headers={"Host": host})).status_code == 200


async def test_an_insecure_server_with_names_answers_to_these_alone(tmp_path: Path) -> None:
    """Behind a published port, a page that resolves a name of its own to this machine still gets nowhere."""
    async with calling(app_with(tmp_path, insecure=True, allowed_hosts=("liquidstream",))) as client:
        named = await client.get("/readyz", headers={"host": "liquidstream:8765"})
        local = await client.get("/readyz", headers={"host": "localhost:8765"})
        foreign = await client.get("/readyz", headers={"host": "evil.example"})
    assert (named.status_code, local.status_code, foreign.status_code) == (200, 200, 403)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8765", "x"]
)
async def test_pages_of_other_origins_may_not_write(tmp_path: Path, origin: str) -> None:
    """Every method that changes something, and the WebSocket; a read is harmless, because the browser hides it."""
    app, headers = app_with(tmp_path), {"Host": "127.0.0.1:8765", "Origin": origin}
    async with calling(app) as client:
        for method in ("PUT", "POST", "DELETE", "PATCH", "BREW"):
            assert (await client.request(method, "/v1/streams/a", headers=headers)).status_code == 403
        assert (await client.get("/livez", headers=headers)).status_code == 200
        assert await knock(app, "/v1/ws", headers) == 403


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8765", "https://127.0.0.1:8765"])
async def test_the_own_page_may(tmp_path: Path, origin: str) -> None:
    """Same name and port; TLS may end in front of the server."""
    app, headers = app_with(tmp_path), {"Host": "127.0.0.1:8765", "Origin": origin}
    async with calling(app) as client:
        # Through the door, to a body that is missing.
        assert (await client.put("/v1/streams/a", headers=headers)).status_code == 400
        assert await knock(app, "/v1/ws", headers) == 101


async def test_refusals_are_counted_by_reason(tmp_path: Path) -> None:
    """Without the key, the name or the origin that was shown."""
    app = app_with(tmp_path, api_keys=(KEY,))
    async with calling(app) as client:
        await client.get("/v1/streams", headers={"Authorization": "Bearer hunter2"})
        await client.post("/v1/streams", headers={"Origin": "http://hunter2"})
    text = app.state.services.metrics.render().decode()
    assert 'liquid_auth_failures_total{reason="key"} 1.0' in text
    assert 'liquid_auth_failures_total{reason="origin"} 1.0' in text
    assert "hunter2" not in text
