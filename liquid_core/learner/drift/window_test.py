"""Window test: are the newest values spread like those before them?

A window holds the last values; the newest of them are held against the others by the two-sample test of Kolmogorov and
Smirnov. It sees any change of the distribution, of its spread too, not only of its level, and forgets what left the
window.

KSWIN [1]_ draws as many of the older values as there are new ones, at random. Here all the older ones take part: a
stream's bits must not hang on a random number, a test on more values finds smaller changes, and one that draws anew
each time has as many more chances to raise a false alarm.

References
----------
.. [1] C. Raab, M. Heusinger, F.-M. Schleif, "Reactive soft prototype computing for concept drift streams",
   Neurocomputing 416 (2020), 340-351.
.. [2] N. Smirnov, "Table for estimating the goodness of fit of empirical distributions", Annals of Mathematical
   Statistics 19 (1948), 279-281.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec, pick
from liquid_core.spec import WindowTestSpec
from liquid_core.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class WindowTest:
    """State of the test."""

    #: Values since the start; the n-th, counted from zero, lies in slot ``n % window``.
    seen: IntArray
    #: `(batch, window)`
    values: FloatArray

    @staticmethod
    def arrays(spec: WindowTestSpec) -> dict[str, ArraySpec]:
        return {"seen": ArraySpec(np.int64), "values": ArraySpec(np.float64, (spec.window,))}

    def update(self, values: FloatArray, observed: BoolArray, spec: WindowTestSpec) -> tuple[BoolArray, WindowTest]:
        """Take in one value a stream, `(batch,)`, where `observed`; return who alarms, and the state after.

        A stream that alarms comes back in its initial state.
        """
        lanes = np.flatnonzero(observed)
        kept = self.values.copy()
        kept[lanes, self.seen[lanes] % spec.window] = values[lanes]
        seen = self.seen + observed
        alarm = np.zeros_like(observed)
        due = observed & (seen >= spec.window) & (seen % spec.clock == 0)
        if due.any():
            in_order = (seen[due, None] + np.arange(spec.window)) % spec.window
            window = np.take_along_axis(kept[due], in_order, axis=1)
            rise, fall = gaps(window[:, : -spec.recent], window[:, -spec.recent :])
            up = (rise > critical_gap(spec)) & (spec.mode != "down")
            down = (fall > critical_gap(spec)) & (spec.mode != "up")
            alarm[due] = up | down
        return alarm, WindowTest(
            seen=np.where(alarm, 0, seen),
            values=pick(alarm, np.zeros_like(kept), kept),
        )


def gaps(older: FloatArray, newer: FloatArray) -> tuple[IntArray, IntArray]:
    """Kolmogorov's and Smirnov's statistic by its two sides, between `(batch, n)` and `(batch, m)` values.

    How far, at most, the share of the older values up to a point exceeds that of the newer ones, and the reverse: two
    numbers `(batch,)` in units of ``1 / (n m)``, the larger of which is the statistic. Newer values that have shifted
    upwards widen the first, downwards the second.
    """
    n, m = older.shape[1], newer.shape[1]

    def up_to(values: FloatArray, *, below: bool) -> IntArray:
        """How many of the values there are up to each newer one, or below it, `(batch, m)`."""
        pairs = values[:, None, :], newer[:, :, None]
        counted: IntArray = (np.less(*pairs) if below else np.less_equal(*pairs)).sum(axis=2, dtype=np.int64)
        return counted

    # The shares of the newer values jump at each of them only: up to it the older ones lead most, from it on the newer.
    rise = up_to(older, below=True) * m - up_to(newer, below=True) * n
    fall = up_to(newer, below=False) * n - up_to(older, below=False) * m
    return np.maximum(rise.max(axis=1), 0), np.maximum(fall.max(axis=1), 0)


def critical_gap(spec: WindowTestSpec) -> float:
    """The gap that values without a change exceed with a probability of about `alpha`, in the units of `gaps`.

    From the tail of the statistic's limit distribution, ``2 exp(-2 D² n m / (n + m))`` [2]_.
    """
    n, m = spec.window - spec.recent, spec.recent
    return math.sqrt(-0.5 * math.log(spec.alpha / 2.0) * n * m * (n + m))


__all__ = ["WindowTest", "critical_gap", "gaps"]
