"""Whether the server lives, whether it takes samples, what it is, and its metrics."""

from __future__ import annotations

import platform
from importlib.metadata import version

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service import metrics
from service.api.answering import answer
from service.api.openapi import gives
from service.api.seam import services_of
from service.messages import Readiness, Version
from service.problems import Problem

router = APIRouter(tags=["health"])


_VERSION = Version(version=version("liquidstream"), python=platform.python_version(), torch=version("torch"))


@router.get(
    "/livez",
    operation_id="is_alive",
    summary="Can it go on?",
    response_class=Response,
    responses=gives({200: ("It can.", [], {})}, problems=("failed",), open_to_all=True),
)
async def is_alive(request: Request) -> Response:
    """Restart the process if this does not answer with 200. It says nothing about the store; `/readyz` does."""
    host = services_of(request).host
    if host is not None and host.readiness().failed:
        raise Problem("failed", "what steps the streams has ended with an error, as the log tells; restart the server.")
    return Response(status_code=200)


@router.get(
    "/readyz",
    operation_id="is_ready",
    summary="Does it take samples?",
    response_class=Response,
    responses=gives(
        {
            200: ("It takes samples.", ["Readiness"], {}),
            503: ("It does not; `reasons` says why.", ["Readiness"], {}),
        },
        open_to_all=True,
    ),
)
async def is_ready(request: Request) -> Response:
    """Without a key, where there are keys, only `ready` is told."""
    services = services_of(request)
    if services.host is None:
        readiness = Readiness(ready=False, store="", durability="unknown", engine="", reasons=["starting or stopped"])
    else:
        readiness = services.host.readiness()
    if services.draining:
        readiness = msgspec.structs.replace(readiness, ready=False, reasons=[*readiness.reasons, "draining"])
    status = 200 if readiness.ready else 503
    if not request.state.known_caller:
        readiness = Readiness(ready=readiness.ready, store="", durability="unknown", engine="", reasons=[])
    return answer(readiness, status)


@router.get(
    "/version",
    operation_id="get_version",
    summary="What is this server made of?",
    response_class=Response,
    responses=gives({200: ("Its versions.", ["Version"], {})}),
)
async def get_version() -> Response:
    """Versions of the service and of what decides its numbers."""
    return answer(_VERSION)


_METRICS = gives({200: ("Prometheus' text format.", [], {})})
_METRICS[200]["content"] = {"text/plain": {"schema": {"type": "string"}}}


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses=_METRICS,
)
async def get_metrics(request: Request) -> Response:
    """All metrics of this server; none has a stream's name in it."""
    return Response(services_of(request).metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})


__all__ = ["router"]
