"""The outermost layer of every HTTP request: its id, its metrics, its headers, and what becomes of what goes wrong.

Whatever is raised behind it ends as a problem: a `Problem` as itself, anything else as a 500 that tells the client
nothing but the id under which the log has the stack trace.
"""

from __future__ import annotations

import secrets
import time

import structlog
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.answering import problem_response
from service.api.seam import Services
from service.problems import Problem

log = structlog.get_logger(__name__)

#: On every response. A page that needs more brings its own Content-Security-Policy.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CODES = {404: "not_found", 405: "method_not_allowed"}
#: Refusals in the middle of a body.
_UNREAD = (408, 413)
#: What the metrics show where the client went away before its answer.
_CLIENT_GONE = 499


class Edge:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(scope, receive, send)
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            if scope["type"] == "http":
                await self._http(scope, receive, send, request_id)
            else:
                await self._app(scope, receive, send)
        return None

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A start that the operator can mend fails with one line that says how, not with a stack trace."""

        async def send_reason(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed" and self._services.refusal is not None:
                message["message"] = self._services.refusal
            await send(message)

        try:
            await self._app(scope, receive, send_reason)
        except Exception:
            if self._services.refusal is None:
                raise

    async def _http(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        metrics = self._services.metrics
        began = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        metrics.http_requests_in_progress.inc()
        try:
            try:
                await self._app(scope, receive, send_with_headers)
            except ClientDisconnect:
                status = _CLIENT_GONE
            except Exception as error:
                if status:  # the answer is half out: all that is left is to break the connection
                    raise
                response = _response_to(error, request_id)
                if response.status_code in _UNREAD or self._services.is_full():
                    # What is left of the body is not read, or the place is needed: the connection ends here.
                    response.headers["Connection"] = "close"
                await response(scope, receive, send_with_headers)
        finally:
            took = time.perf_counter() - began
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route, code = _route(scope), status or _CLIENT_GONE
            metrics.http_requests_in_progress.dec()
            metrics.http_request_duration_seconds.labels(method=method, route=route, code=str(code)).observe(took)
            if self._services.settings.access_log:
                log.info("request", method=method, route=route, code=code, duration_ms=round(took * 1000, 2))


def _response_to(error: Exception, request_id: str) -> Response:
    if isinstance(error, Problem):
        return problem_response(error, request_id)
    log.error("internal_error", exc_info=error)
    problem = Problem("internal", "this is a bug; the server's log has more under this request's id.")
    return problem_response(problem, request_id)


def _route(scope: Scope) -> str:
    """The template of the route that answered, such as ``/v1/streams/{stream_id}``: never a raw path."""
    route = scope.get("route")
    if route is not None:
        return str(getattr(route, "path_format", None) or getattr(route, "path", "other"))
    return "/dashboard" if scope.get("root_path") == "/dashboard" else "other"


async def on_http_exception(request: Request, error: Exception) -> Response:
    """The framework's own refusals, as problems."""
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "malformed" if error.status_code < 500 else "internal")
    details = {
        "not_found": "there is no such path; /openapi.json has those that there are.",
        "method_not_allowed": "use one of the methods in Allow.",
    }
    response = problem_response(Problem(code, details.get(code, "")), request.state.request_id)
    if error.headers:
        response.headers.update(error.headers)
    return response


async def on_invalid_parameters(request: Request, error: Exception) -> Response:
    """Path and query parameters that the framework refuses, as problems; bodies never get here."""
    assert isinstance(error, RequestValidationError)
    names = [str(item["loc"][-1]) for item in error.errors()]
    problem = Problem(
        "invalid",
        f"the parameter `{names[0]}` is not what it must be." if names else "a parameter is not what it must be.",
        errors=[{"parameter": name, "code": "invalid"} for name in names],
    )
    return problem_response(problem, request.state.request_id)


__all__ = ["HEADERS", "Edge", "on_http_exception", "on_invalid_parameters"]
