"""The service's clock: the event loop's, so that a test can let hours pass in no time.

Nothing that a stream is depends on it: it decides when to retry, to rest, to snapshot and to give up, and what the
metrics show.
"""

from __future__ import annotations

import asyncio


def now() -> float:
    """Seconds on a clock that only runs forward; to be called in the event loop's thread."""
    return asyncio.get_running_loop().time()


__all__ = ["now"]
