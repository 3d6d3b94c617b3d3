"""The turnstile: counts the requests that are in progress, and lets in no more than admission allows."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.admission import RETRY_AFTER_S, refusal
from service.api.body_limit import INGEST_PATH
from service.api.seam import Services
from service.problems import Problem


class Turnstile:
    """ASGI middleware that refuses with `Problem` ``overloaded`` or ``rate_limited``, before the body is read.

    Most refusals never get here: `service.connections` asks admission as soon as it has a request's head, and answers
    by itself, because what has to be refused often has to be refused cheaply.
    """

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not takes_time(path := scope["path"]):
            return await self._app(scope, receive, send)
        if self._services.is_full():
            raise Problem("overloaded", "there are too many connections; try again.", retry_after_s=RETRY_AFTER_S)
        if path == INGEST_PATH:  # reads no faster than it is answered; how many there may be is the sessions' bound
            return await self._app(scope, receive, send)
        admission = self._services.admission
        code = admission.objection(path)
        if code is not None:
            raise refusal(code)
        since = admission.enter(path)
        try:
            await self._app(scope, receive, send)
        finally:
            admission.leave(path, since)
        return None


def takes_time(path: str) -> bool:
    """Whether what is asked for may be refused for want of time: not whether the server lives, however busy it is."""
    return path.startswith("/v1/")


__all__ = ["Turnstile", "takes_time"]
