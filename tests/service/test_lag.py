"""The event loop's lag."""

from __future__ import annotations

import asyncio
import time

from service.lag import measured_lag
from service.metrics import Metrics


async def test_a_blocked_loop_shows() -> None:
    """Who computes where they should wait makes a sleeper late."""
    metrics = Metrics()
    async with measured_lag(metrics, interval_s=0.001):
        await asyncio.sleep(0.002)
        time.sleep(0.05)
        while metrics.event_loop_lag_seconds._sum.get() < 0.03:
            await asyncio.sleep(0.001)
