"""The history of what is predicted: its running scale and last movements, as far as they are known.

For a forecast these are the targets' own columns; for labels, whatever labels have arrived; for classes, one column a
class that is one where the class was. The readout and the autoregressive expert see it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.moments import Moments
from liquid_core.learner.part import ArraySpec, safe_divide
from liquid_core.learner.residual import MAX_RESIDUAL, Residual
from liquid_core.learner.scaler import MAX_SCALED
from liquid_core.types import BoolArray, FloatArray, IntArray

#: Movements kept.
CHANGES = 3
#: How many values the slow means reach back.
SLOW = (16.0, 128.0)
#: Columns of a view: level, movements, age.
VIEW = CHANGES + 2
#: Age, in samples, at which a value counts as half forgotten.
HALF_AGE = 8.0


@dataclass(frozen=True, slots=True)
class History:
    """Running moments, last value and changes of every track; each `(batch, tracks)`, `changes` newest first."""

    count: IntArray
    mean: FloatArray
    variance: FloatArray
    change_count: IntArray
    change_square: FloatArray
    last: FloatArray
    #: `(batch, tracks, CHANGES)`.
    changes: FloatArray
    #: Number of the sample that the last value belongs to, `(batch,)`.
    newest: IntArray
    #: Means of the last so many values, wild ones within reach, `(batch, tracks, SLOW)`.
    slow: FloatArray

    @staticmethod
    def arrays(num_tracks: int) -> dict[str, ArraySpec]:
        width = (num_tracks,)
        return Moments.arrays(num_tracks) | {
            "change_count": ArraySpec(np.int64, width),
            "change_square": ArraySpec(np.float64, width),
            "last": ArraySpec(np.float64, width),
            "changes": ArraySpec(np.float64, (num_tracks, CHANGES)),
            "newest": ArraySpec(np.int64),
            "slow": ArraySpec(np.float64, (num_tracks, len(SLOW))),
        }

    def update(self, values: FloatArray, observed: BoolArray, number: IntArray, rate: float) -> History:
        """Take in `values` `(batch, tracks)` where `observed`, of the samples of that `number` `(batch,)`."""
        counted = self.capped(values)
        moments = self._moments().update(counted, observed, rate)
        share = np.maximum(1.0 / np.maximum(moments.count, 1)[:, :, None], 1.0 / np.asarray(SLOW))
        slow = self.slow + share * (counted[:, :, None] - self.slow)
        moved = observed & (self.count > 0)
        change = np.where(moved, values - self.last, 0.0)
        scale = Residual(self.change_count, self.change_square).update(change, moved, rate)
        shifted = np.concatenate([change[:, :, None], self.changes[:, :, :-1]], axis=2)
        return History(
            count=moments.count,
            mean=moments.mean,
            variance=moments.variance,
            change_count=scale.count,
            change_square=scale.square,
            last=np.where(observed, values, self.last),
            changes=np.where(moved[:, :, None], shifted, self.changes),
            newest=np.where(observed.any(axis=1), number, self.newest),
            slow=np.where(observed[:, :, None], slow, self.slow),
        )

    def capped(self, values: FloatArray) -> FloatArray:
        """`values` `(batch, tracks)` within the reach of the moments."""
        return self._moments().capped(values)

    def _moments(self) -> Moments:
        return Moments(self.count, self.mean, self.variance)

    def jumped(self) -> BoolArray:
        """Where the last movement was far beyond the usual ones, `(batch, tracks)`: an outlier, or a shift of level."""
        return self._is_jump(self.changes[:, :, 0])

    def rebound(self, values: FloatArray, observed: BoolArray) -> BoolArray:
        """Where `values` `(batch, tracks)` jump straight back from a last value that had jumped out: an outlier.

        A level that really shifted does not come back.
        """
        back = values - self.last
        opposite = (self.changes[:, :, 0] > 0) != (back > 0)
        return np.asarray(observed & self.jumped() & self._is_jump(back) & opposite)

    def _is_jump(self, movement: FloatArray) -> BoolArray:
        return np.asarray(np.abs(movement) > MAX_RESIDUAL * np.sqrt(self.change_square))

    def deviation(self) -> FloatArray:
        """Running standard deviation, `(batch, tracks)`."""
        return np.sqrt(self.variance)

    def standing(self, values: FloatArray) -> FloatArray:
        """How far `values` `(batch, tracks)` lie from the running mean, in running deviations."""
        return safe_divide(values - self.mean, self.deviation())

    def view(self, number: IntArray) -> FloatArray:
        """What is shown of it at sample `number` `(batch,)`: `(batch, tracks, VIEW)`, within the scaler's limits."""
        level = self.standing(self.last)
        movement = safe_divide(self.changes, np.sqrt(self.change_square)[:, :, None])
        shown = np.clip(np.concatenate([level[:, :, None], movement], axis=2), -MAX_SCALED, MAX_SCALED)
        age = (number - self.newest).astype(np.float64)
        aged = np.broadcast_to((age / (age + HALF_AGE))[:, None, None], (*self.last.shape, 1))
        return np.concatenate([shown, aged], axis=2)


__all__ = ["CHANGES", "SLOW", "VIEW", "History"]
