"""Bodies are bounded while they stream in, whether or not they say how long they are."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.seam import Services
from service.messages import MAX_STATE_BYTES
from service.problems import Problem

#: A state to be taken over is larger than anything else that is sent.
_STATE = re.compile(r"/v1/streams/[^/]+/state").fullmatch


class BodyLimit:
    """ASGI middleware that ends a request with `Problem` ``body_too_large``."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        limit = self._services.settings.max_body_bytes
        if scope["method"] == "PUT" and _STATE(scope["path"]):
            limit = max(limit, MAX_STATE_BYTES)
        if _announced(scope) > limit:
            raise _too_large(limit)
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    raise _too_large(limit)
                if not message.get("more_body", False) and received:
                    self._services.metrics.http_request_body_bytes.observe(received)
            return message

        await self._app(scope, counted, send)
        return None


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _too_large(limit: int) -> Problem:
    return Problem("body_too_large", f"a body may have {limit} bytes; send fewer items in one request.")


__all__ = ["BodyLimit"]
