"""How long a caller waits for its answer, as it says itself."""

from __future__ import annotations

from starlette.requests import Request

from service import clock
from service.problems import Problem

HEADER = "X-Request-Timeout-Ms"
_MAX_DIGITS = 7


def deadline_of(request: Request) -> float | None:
    """When the caller stops waiting, on `service.clock`; `None` where it does not say.

    Raises
    ------
    Problem
        ``invalid``: the header is not a whole number of milliseconds.
    """
    text = request.headers.get(HEADER)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise Problem(
            "invalid",
            f"`{HEADER}` must be a whole number of milliseconds.",
            errors=[{"parameter": HEADER, "code": "invalid"}],
        )
    return clock.now() + int(text) / 1000


__all__ = ["HEADER", "deadline_of"]
