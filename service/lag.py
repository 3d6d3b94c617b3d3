"""How late the event loop is: whoever computes where they should wait shows here first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from service.metrics import Metrics

INTERVAL_S = 0.02


@asynccontextmanager
async def measured_lag(
    metrics: Metrics, tell: Callable[[float, float], None] = lambda _, __: None, interval_s: float = INTERVAL_S
) -> AsyncIterator[None]:
    """Observe `event_loop_lag_seconds`, and `tell` interval and lag, as long as the context is open."""

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + interval_s
            await asyncio.sleep(interval_s)
            lag = max(0.0, loop.time() - due)
            metrics.event_loop_lag_seconds.observe(lag)
            tell(interval_s, lag)

    task = asyncio.create_task(watch(), name="event-loop-lag")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


__all__ = ["INTERVAL_S", "measured_lag"]
