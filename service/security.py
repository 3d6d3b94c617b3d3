"""Who may call: the door that every request and every WebSocket passes, before any route.

Default deny. With keys, whoever does not show one gets nothing but the health of the process and the page's own files.
Without keys only this machine may call, and then the caller must also mean this machine: a page from elsewhere, open in
a browser here, must neither read (DNS rebinding: its name suddenly points at 127.0.0.1) nor write (its `Origin` tells).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from service.api.answering import problem_response
from service.api.seam import Services
from service.problems import Problem
from service.settings import Settings, is_loopback

#: Answered without a key. The page is code without data: it asks for the key and sends it along.
PUBLIC_PATHS = frozenset({"/livez", "/readyz", "/"})
PUBLIC_PREFIX = "/dashboard/"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class KeyRing:
    """The keys that open; held and compared as SHA-256, in time that does not depend on how much of a key is right."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def opens(self, authorization: str | None) -> bool:
        """Whether an `Authorization` header carries one of the keys."""
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        digest = _digest(key.strip().encode("latin-1", errors="replace"))
        # All are compared, so that the time does not tell which one matched either.
        return sum(hmac.compare_digest(digest, known) for known in self._digests) > 0


@lru_cache(maxsize=4)
def key_ring(keys: tuple[str, ...]) -> KeyRing:
    """The one ring of these keys."""
    return KeyRing(keys)


def unauthorized(**extensions: Any) -> Problem:
    """The refusal of who has no key."""
    return Problem("unauthorized", "send a key of this server as `Authorization: Bearer <key>`.", **extensions)


class Door:
    """ASGI middleware: who does not belong here is turned away with a problem, on WebSockets before they open."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._settings = services.settings
        self._metrics = services.metrics
        self._ring = key_ring(services.settings.api_keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        problem = self._objection(scope)
        if problem is None:
            return await self._app(scope, receive, send)
        self._metrics.auth_failures.labels(reason=problem.extensions.pop("reason")).inc()
        if scope["type"] == "http":
            raise problem
        await refuse_websocket(WebSocket(scope, receive, send), problem)
        return None

    def _objection(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        any_name = self._settings.insecure and not self._settings.allowed_hosts
        if not self._ring and not any_name and not _names_us(headers, self._settings):
            return Problem(
                "forbidden",
                "without a key this server only answers to the names of this machine. Call it as 127.0.0.1 or "
                "localhost, name the host in LIQUID_ALLOWED_HOSTS, or set LIQUID_API_KEYS.",
                reason="host",
            )
        writes = scope["type"] == "websocket" or scope["method"] not in _READING
        if writes and not _is_same_origin(headers):
            return Problem("forbidden", "pages of other origins may not call this server.", reason="origin")
        known = not self._ring or self._ring.opens(headers.get("authorization"))
        scope.setdefault("state", {})["known_caller"] = known
        if not known and not self._is_public(scope):
            return unauthorized(reason="key")
        return None

    def _is_public(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] not in _READING:
            return False
        path: str = scope["path"]
        if path == "/metrics":
            return self._settings.public_metrics
        return path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIX)


async def refuse_websocket(websocket: WebSocket, problem: Problem) -> None:
    """Answer the request to open a WebSocket with a problem instead."""
    response: Response = problem_response(problem, websocket.state.request_id)
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(response)
    else:
        await websocket.close(1008)


def _names_us(headers: Headers, settings: Settings) -> bool:
    """Whether `Host` is a name that somebody on this machine, or whom the operator told, would use."""
    hosts = headers.getlist("host")
    return len(hosts) == 1 and _is_one_of(hosts[0], (settings.host, *settings.allowed_hosts))


@lru_cache(maxsize=64)  # most callers use the same few, and this is asked with every request
def _is_one_of(host: str, ours: tuple[str, ...]) -> bool:
    name = _parts(f"//{host}")[0]
    return is_loopback(name) or name in [own.lower() for own in ours]


def _is_same_origin(headers: Headers) -> bool:
    """Whether the page that makes the browser call, if one does, came from this server.

    Schemes are not compared: behind a proxy that ends TLS the server does not see which one the browser used.
    """
    origins = headers.getlist("origin")
    if not origins:
        return True
    if len(origins) > 1:
        return False
    scheme = urlsplit(origins[0]).scheme
    return _parts(origins[0], scheme) == _parts(f"//{headers.get('host', '')}", scheme) != ("", None)


def _parts(url: str, scheme: str = "") -> tuple[str, int | None]:
    """Name and port of a URL; of one that is none, a name that nothing has."""
    try:
        split = urlsplit(url)
        return (split.hostname or "").rstrip("."), split.port or _DEFAULT_PORTS.get(scheme)
    except ValueError:
        return "", None


def _digest(key: bytes) -> bytes:
    # A key is random, not a password: there is no dictionary to slow down, so a plain hash is right.
    return hashlib.sha256(key).digest()


__all__ = ["PUBLIC_PATHS", "PUBLIC_PREFIX", "Door", "KeyRing", "key_ring", "refuse_websocket", "unauthorized"]
