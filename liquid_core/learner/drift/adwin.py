"""ADWIN: an adaptive window over a value, as long as nothing in it has changed.

The window is cut in two wherever a bucket ends. Where the means of the two sides lie further apart than chance lets
them (at a confidence of ``1 - delta``, by Bernstein's inequality), the level has changed. Values are kept in buckets of
1, 2, 4, ... of them, so a window of n values takes O(log n) numbers.

Each detector here starts anew after an alarm; as `river` does it, the newer side is not kept. So a look ends with the
first cut found, and nothing is ever taken out of a window that has none.

The sizes of buckets are bounded, for a row has a fixed length: a window of more than ``max_buckets * 2 ** levels``
values, give or take, forgets its oldest bucket, as soon as there is one too many of the largest size. Buckets know
their values' sum only; the one that leaves takes its share of the window's squared deviations along, which for values
that have not changed is what it has brought. With the default sizes that takes 84 million values.

References
----------
.. [1] A. Bifet, R. Gavaldà, "Learning from time-changing data with adaptive windowing", SIAM International Conference
   on Data Mining (2007), 443-448.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec, pick
from liquid_core.spec import AdwinSpec
from liquid_core.types import BoolArray, FloatArray, IntArray

_SQRT_HALF = 0.7071067811865476
_LN_2 = 0.6931471805599453
#: 1/3, 1/5, ... of the series below, the smallest first; the next would be less than half a unit in the last place.
_SERIES = tuple(1.0 / (2 * n + 1) for n in range(11, 0, -1))


@dataclass(frozen=True, slots=True)
class Adwin:
    """State of the window; a stream's buckets are `(batch, levels, max_buckets + 1)`, the oldest of a size first."""

    #: Values since the start, and those of them that are in the window.
    seen: IntArray
    width: IntArray
    #: Sum of the window's values, and of their squared deviations from its mean.
    total: FloatArray
    squares: FloatArray
    #: How many buckets there are of each size, `(batch, levels)`, and their sums; zero where there is none.
    buckets: IntArray
    sums: FloatArray

    @staticmethod
    def arrays(spec: AdwinSpec) -> dict[str, ArraySpec]:
        return {
            "seen": ArraySpec(np.int64),
            "width": ArraySpec(np.int64),
            "total": ArraySpec(np.float64),
            "squares": ArraySpec(np.float64),
            "buckets": ArraySpec(np.int64, (spec.levels,)),
            "sums": ArraySpec(np.float64, (spec.levels, spec.max_buckets + 1)),
        }

    def update(self, values: FloatArray, observed: BoolArray, spec: AdwinSpec) -> tuple[BoolArray, Adwin]:
        """Take in one value a stream, `(batch,)`, where `observed`; return who alarms, and the state after.

        A stream whose level has changed comes back in its initial state, whether or not its `mode` makes that an alarm.
        """
        grown = self._take(values, observed, spec)
        due = observed & (grown.seen % spec.clock == 0) & (grown.width > spec.grace_period)
        rose, fell = grown._look(due, spec)
        alarm = (rose & (spec.mode != "down")) | (fell & (spec.mode != "up"))
        changed = rose | fell
        return alarm, Adwin(
            seen=np.where(changed, 0, grown.seen),
            width=np.where(changed, 0, grown.width),
            total=np.where(changed, 0.0, grown.total),
            squares=np.where(changed, 0.0, grown.squares),
            buckets=pick(changed, np.zeros_like(grown.buckets), grown.buckets),
            sums=pick(changed, np.zeros_like(grown.sums), grown.sums),
        )

    def _take(self, values: FloatArray, observed: BoolArray, spec: AdwinSpec) -> Adwin:
        """The state with the values in it, buckets merged."""
        before = self.width.astype(np.float64)
        width = before + 1.0
        deviation = values - self.total / np.maximum(before, 1.0)
        squares = self.squares + before * deviation * deviation / width  # the first value adds nothing
        state = Adwin(
            seen=self.seen + observed,
            width=self.width + observed,
            total=np.where(observed, self.total + values, self.total),
            squares=np.where(observed, squares, self.squares),
            buckets=self.buckets.copy(),
            sums=self.sums.copy(),
        )
        lanes = np.flatnonzero(observed)
        carried = values[lanes]
        for level in range(spec.levels):
            state.sums[lanes, level, state.buckets[lanes, level]] = carried
            state.buckets[lanes, level] += 1
            lanes = lanes[state.buckets[lanes, level] > spec.max_buckets]
            if not lanes.size:
                return state
            oldest = state.sums[lanes, level, 0]
            carried = oldest + state.sums[lanes, level, 1]
            leaving = 2 if level < spec.levels - 1 else 1
            kept = state.sums[lanes, level, leaving:]
            state.sums[lanes, level] = 0.0
            state.sums[lanes, level, :-leaving] = kept
            state.buckets[lanes, level] -= leaving
        state._forget(lanes, oldest, 1 << (spec.levels - 1))
        return state

    def _forget(self, lanes: IntArray, total: FloatArray, size: int) -> None:
        """Take what a bucket has brought out of the window's sums, in place."""
        width = self.width[lanes].astype(np.float64)
        self.squares[lanes] = self.squares[lanes] * ((width - size) / width)
        self.total[lanes] = self.total[lanes] - total
        self.width[lanes] -= size

    def _look(self, due: BoolArray, spec: AdwinSpec) -> tuple[BoolArray, BoolArray]:
        """Where there is a cut, `(batch,)`: whose newer side lies higher, and whose lower."""
        rose, fell = np.zeros_like(due), np.zeros_like(due)
        if not due.any():
            return rose, fell
        width, total = self.width[due].astype(np.float64)[:, None], self.total[due][:, None]
        # Every bucket from the oldest to the newest, `(due, cuts)`: a cut lies behind each.
        present = (np.arange(spec.max_buckets + 1) < self.buckets[due][:, ::-1, None]).reshape(len(width), -1)
        sizes = np.repeat(2.0 ** np.arange(spec.levels - 1, -1, -1), spec.max_buckets + 1)
        sums = self.sums[due][:, ::-1].reshape(len(width), -1)
        # Running sums in the order of the buckets, one addition after the other; an absent one adds zero.
        older = np.cumsum(np.where(present, sizes, 0.0), axis=1)
        newer = width - older
        older_total = np.cumsum(sums, axis=1)
        newer_total = np.subtract.accumulate(np.concatenate([total, sums], axis=1), axis=1)[:, 1:]
        fits = present & (older >= spec.min_window_length) & (newer >= spec.min_window_length)
        older, newer = np.where(fits, older, spec.min_window_length), np.where(fits, newer, spec.min_window_length)
        gap = older_total / older - newer_total / newer

        confidence = logarithm(2.0 * logarithm(np.maximum(width, 2.0)) / spec.delta)
        # Twice the inverse of the harmonic mean of the two lengths.
        inverse = 1.0 / (older - spec.min_window_length + 1.0) + 1.0 / (newer - spec.min_window_length + 1.0)
        spread = np.sqrt(2.0 * inverse * (self.squares[due][:, None] / width) * confidence)
        cut = fits & (np.abs(gap) > spread + 2.0 / 3.0 * confidence * inverse)
        first = cut.argmax(axis=1)
        found = cut.any(axis=1)
        falls = gap[np.arange(len(gap)), first] > 0
        rose[due], fell[due] = found & ~falls, found & falls
        return rose, fell


def logarithm(x: FloatArray) -> FloatArray:
    """The natural logarithm of positive numbers, to 2 units in the last place.

    The C library's has other bits on other machines; this one is made of operations that are exactly rounded
    everywhere.
    """
    fraction, exponent = np.frexp(x)
    small = fraction < _SQRT_HALF
    fraction = np.where(small, 2.0 * fraction, fraction)  # in [sqrt(1/2), sqrt(2))
    exponent = (exponent - small).astype(np.float64)
    # ln f = 2 artanh s, with |s| < 0.172
    s = (fraction - 1.0) / (fraction + 1.0)
    square = s * s
    series = np.zeros_like(s)
    for coefficient in _SERIES:
        series = (series + coefficient) * square
    return exponent * _LN_2 + (2.0 * s + 2.0 * s * series)


__all__ = ["Adwin", "logarithm"]
