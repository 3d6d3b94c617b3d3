"""How long a step takes: warm-up, then the median of repeats."""

from __future__ import annotations

import gc
import math
import statistics
from dataclasses import dataclass
from time import perf_counter

from benchmarks.contender import Contender


@dataclass(frozen=True, slots=True)
class Budget:
    """How much time one measurement may take, in seconds; a slow contender is measured once all the same."""

    total_s: float
    #: A repeat is at least so long: fast contenders step many batches in one.
    repeat_s: float
    repeats: int


QUICK = Budget(total_s=0.3, repeat_s=0.02, repeats=5)
THOROUGH = Budget(total_s=6.0, repeat_s=0.1, repeats=15)


def microseconds_per_step(contender: Contender, budget: Budget) -> float:
    """Microseconds for one sample's prediction and update.

    Batches are made ready before the clock starts. The first batch warms caches and allocators up; the second says how
    many to take together.
    """
    _seconds(contender, 1)
    pilot = _seconds(contender, 1)
    batches = max(1, math.ceil(budget.repeat_s / pilot))
    repeats = min(budget.repeats, int(budget.total_s / (batches * pilot)))
    # Where there is no time for more, the pilot is the measurement.
    seconds = [_seconds(contender, batches) / batches for _ in range(repeats)] or [pilot]
    return 1e6 * statistics.median(seconds) / contender.samples_per_batch


def _seconds(contender: Contender, count: int) -> float:
    """Seconds that `count` batches take, without making them ready and without the garbage collector."""
    batches = contender.batches(count)
    gc.disable()
    try:
        start = perf_counter()
        for batch in batches:
            contender.step(batch)
        return perf_counter() - start
    finally:
        gc.enable()


__all__ = ["QUICK", "THOROUGH", "Budget", "microseconds_per_step"]
