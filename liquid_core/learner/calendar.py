"""The calendar: where in the day and in the week a sample lies, for a stream that has seen enough of them.

Days are counted from the epoch in UTC; which hour it really is does not matter, only that it comes again. A stream
that has not lasted a day, or whose typical gap leaves too few samples a day, is shown zeros.

The waves are Bhaskara's rational approximation of the sine (7th century; within 0.0017): it needs no library whose last
bit differs between machines.
"""

from __future__ import annotations

import numpy as np

from liquid_core.types import FloatArray

#: Waves: day, half day and week, each as sine and cosine.
WAVES = 6
DAY, WEEK = 86_400.0, 604_800.0
#: Fewest samples in a period that can show its shape.
MIN_SAMPLES = 4.0


def waves(t: FloatArray, first_t: FloatArray, gap: FloatArray) -> FloatArray:
    """Waves at `t`, `(batch, WAVES)`; `t`, the first sample's time and the typical gap are `(batch,)` in seconds."""
    shown: list[FloatArray] = []
    for period in (DAY, DAY / 2, WEEK):
        basis = WEEK if period == WEEK else DAY
        supported = (t - first_t >= basis) & (gap * MIN_SAMPLES <= basis)
        phases = (t / period, t / period + 0.25)
        shown += [np.where(supported, _wave(phase - np.floor(phase)), 0.0) for phase in phases]
    return np.stack(shown, axis=1)


def _wave(phase: FloatArray) -> FloatArray:
    """A sine wave at `phase` in [0, 1)."""
    half = np.where(phase < 0.5, phase, phase - 0.5) * 2.0
    hump = half * (1.0 - half)
    size = 16.0 * hump / (5.0 - 4.0 * hump)
    return np.where(phase < 0.5, size, -size)


__all__ = ["DAY", "WAVES", "WEEK", "waves"]
