"""Prequential error beside the naive prediction's: test, then train, on every sample (Dawid 1984; Gama et al. 2013)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec
from liquid_core.types import BoolArray, FloatArray, IntArray

#: Weight of the newest error in the recent mean: its memory is about a hundred targets.
RECENT_RATE = 0.01


@dataclass(frozen=True, slots=True)
class Prequential:
    """Errors of the stream and of the naive prediction, each `(batch, horizons)`."""

    count: IntArray
    total: FloatArray
    total_naive: FloatArray
    recent: FloatArray
    recent_naive: FloatArray

    @staticmethod
    def arrays(num_horizons: int) -> dict[str, ArraySpec]:
        shape = (num_horizons,)
        return {
            "count": ArraySpec(np.int64, shape),
            "total": ArraySpec(np.float64, shape),
            "total_naive": ArraySpec(np.float64, shape),
            "recent": ArraySpec(np.float64, shape),
            "recent_naive": ArraySpec(np.float64, shape),
        }

    def update(self, error: FloatArray, naive: FloatArray, observed: BoolArray) -> Prequential:
        """Take in one error a horizon, `(batch, horizons)`, where `observed`."""
        count = self.count + observed
        weight = np.maximum(1.0 / np.maximum(count, 1), RECENT_RATE)
        return Prequential(
            count=count,
            total=self.total + np.where(observed, error, 0.0),
            total_naive=self.total_naive + np.where(observed, naive, 0.0),
            recent=np.where(observed, self.recent + weight * (error - self.recent), self.recent),
            recent_naive=np.where(
                observed, self.recent_naive + weight * (naive - self.recent_naive), self.recent_naive
            ),
        )


__all__ = ["Prequential"]
