"""Bodies are bounded while they stream in: each in size and in time, and all together in what is held of them."""

from __future__ import annotations

import asyncio
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import clock
from service.api.budget import Share
from service.api.seam import Services
from service.messages import MAX_STATE_BYTES
from service.problems import Problem

#: A state to be taken over is larger than anything else that is sent.
_STATE = re.compile(r"/v1/streams/[^/]+/state").fullmatch
#: The one route that reads its body piece by piece, and answers meanwhile.
INGEST_PATH = "/v1/ingest"


class BodyLimit:
    """ASGI middleware that ends a request with `Problem` ``body_too_large``, ``too_slow`` or ``overloaded``."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        settings = self._services.settings
        streams = scope["path"] == INGEST_PATH
        limit = settings.max_ingest_bytes if streams else settings.max_body_bytes
        if scope["method"] == "PUT" and _STATE(scope["path"]):
            limit = max(limit, MAX_STATE_BYTES)
        if _announced(scope) > limit:
            raise _too_large(limit)
        held = Share(self._services.bytes_held, limit)
        received = 0
        complete = False
        due = clock.now() + settings.body_timeout_s

        async def bounded() -> Message:
            nonlocal received, complete, due
            if complete:
                return await receive()
            if streams:  # as long as something comes, an ingest may last
                due = clock.now() + settings.body_timeout_s
            message = await _by(due, receive)
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                received += size
                if received > limit:
                    raise _too_large(limit)
                if not streams and not held.try_take(size):
                    raise Problem("overloaded", "too much is being read already; try again.", retry_after_s=1.0)
                complete = not message.get("more_body", False)
                if complete and received:
                    self._services.metrics.http_request_body_bytes.observe(received)
            return message

        try:
            await self._app(scope, bounded, send)
        finally:
            held.close()
        return None


async def _by(due: float, receive: Receive) -> Message:
    try:
        async with asyncio.timeout_at(due):
            return await receive()
    except TimeoutError:
        raise Problem("too_slow", "the body came too slowly; send it at once, or in smaller pieces.") from None


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _too_large(limit: int) -> Problem:
    return Problem("body_too_large", f"a body may have {limit} bytes; send fewer items in one request.")


__all__ = ["INGEST_PATH", "BodyLimit"]
