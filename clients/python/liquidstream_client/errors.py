"""Every exception that the client raises on purpose.

LiquidstreamError
├── ConnectionFailed    no answer: the server is not running, or went away and did not come back in time
├── ProtocolError       an answer that this client cannot read
└── ProblemError        the server said no (RFC 9457), with a stable ``code``
    ├── BadRequest      400, 405, 413, 415
    ├── Unauthorized    401
    ├── Forbidden       403
    ├── NotFound        404
    ├── Conflict        409   seq_gap, seq_conflict, late_sample, spec_conflict, label_conflict, stream_exists,
    │                         stream_outdated
    ├── Gone            410   label_expired
    ├── Invalid         422   a value, a width, a spec
    ├── RateLimited     429
    └── ServerError     5xx
        └── Unavailable 503   overloaded, draining, the store cannot be reached
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class LiquidstreamError(Exception):
    """Base of all errors of this client: ``except LiquidstreamError`` catches each of them."""


class ConnectionFailed(LiquidstreamError):
    """No answer came. With `seq` (or a `Stream`, or a session) the same call may simply be made again."""


class ProtocolError(LiquidstreamError):
    """An answer that is not what this version of the API promises: is this URL a Liquidstream server?"""


class ProblemError(LiquidstreamError):
    """The server refused, and said why.

    Parameters
    ----------
    code
        Stable machine-readable reason, such as ``late_sample``.
    status
        HTTP status.
    title, detail
        For people: the kind of problem, and what was wrong here.
    retry_after_s
        Where the same request may succeed later: in how many seconds.
    extensions
        Further members of the problem, such as ``expected_seq`` or ``request_id``.
    """

    def __init__(
        self,
        code: str,
        status: int,
        title: str = "",
        detail: str = "",
        retry_after_s: float | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or title or code)
        self.code = code
        self.status = status
        self.title = title
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.extensions = dict(extensions or {})

    def __str__(self) -> str:
        return f"{self.code} ({self.status}): {self.detail or self.title}"

    @property
    def is_temporary(self) -> bool:
        """True: the same request may succeed later."""
        return self.status in (429, 502, 503, 504)

    @property
    def was_not_applied(self) -> bool:
        """True: the server certainly left the stream as it was (after a failing store nobody knows)."""
        return self.status < 500 or self.code in ("overloaded", "draining")


class BadRequest(ProblemError):
    """The request cannot be read, is too large, or asks for a method or media type that is not there."""


class Unauthorized(ProblemError):
    """A key is needed, or this one is not valid: pass ``api_key=``."""


class Forbidden(ProblemError):
    """This key may not do that."""


class NotFound(ProblemError):
    """There is no such stream, or no such resource."""


class Conflict(ProblemError):
    """The request contradicts what the stream already is: its `seq`, its time, its spec or a label."""


class Gone(ProblemError):
    """Too late: the label's sample is no longer waiting for it."""


class Invalid(ProblemError):
    """A value, a width or a spec is wrong; the stream was left as it was."""


class RateLimited(ProblemError):
    """Too many requests; `retry_after_s` says when to come back."""


class ServerError(ProblemError):
    """The server failed."""


class Unavailable(ServerError):
    """The server cannot take this now: overloaded, shutting down, or its store is away."""


_BY_STATUS: dict[int, type[ProblemError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: RateLimited,
    503: Unavailable,
}
_KNOWN_MEMBERS = {"type", "title", "status", "code", "detail", "retry_after_ms"}


def problem_error(problem: Mapping[str, Any], retry_after_s: float | None = None) -> ProblemError:
    """The exception of one problem+json object; `retry_after_s` is the header's, where the object says nothing."""
    status = problem.get("status")
    status = status if isinstance(status, int) else 500
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else BadRequest)
    if isinstance(problem.get("retry_after_ms"), (int, float)):
        retry_after_s = problem["retry_after_ms"] / 1000
    return kind(
        code=str(problem.get("code") or f"http_{status}"),
        status=status,
        title=str(problem.get("title") or ""),
        detail=str(problem.get("detail") or ""),
        retry_after_s=retry_after_s,
        extensions={name: value for name, value in problem.items() if name not in _KNOWN_MEMBERS},
    )


__all__ = [
    "BadRequest",
    "Conflict",
    "ConnectionFailed",
    "Forbidden",
    "Gone",
    "Invalid",
    "LiquidstreamError",
    "NotFound",
    "ProblemError",
    "ProtocolError",
    "RateLimited",
    "ServerError",
    "Unauthorized",
    "Unavailable",
    "problem_error",
]
