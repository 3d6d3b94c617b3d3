"""From answers and problems to HTTP responses."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from starlette.responses import Response

from service.problems import Problem

JSON = "application/json"
NDJSON = "application/x-ndjson"
PROBLEM_JSON = "application/problem+json"
STATE = "application/vnd.liquidstream.state+safetensors"

_encode = msgspec.json.Encoder().encode


def answer(message: Any, status: int = 200) -> Response:
    """A message of `service.messages` as JSON."""
    return Response(_encode(message), status, media_type=JSON)


def problem_members(problem: Problem | dict[str, Any], request_id: str) -> dict[str, Any]:
    """The members of a problem (RFC 9457) that happened in this request."""
    members = problem.as_dict() if isinstance(problem, Problem) else problem
    return members | {"instance": f"urn:liquidstream:request:{request_id}", "request_id": request_id}


def problem_response(problem: Problem | dict[str, Any], request_id: str) -> Response:
    """A problem as the response to its request, with `Retry-After` where trying again may help."""
    members = problem_members(problem, request_id)
    headers = {}
    if "retry_after_ms" in members:
        headers["Retry-After"] = str(max(1, math.ceil(members["retry_after_ms"] / 1000)))
    if members["status"] == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(_encode(members), members["status"], headers=headers, media_type=PROBLEM_JSON)


__all__ = ["JSON", "NDJSON", "PROBLEM_JSON", "STATE", "answer", "problem_members", "problem_response"]
