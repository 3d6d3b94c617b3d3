"""Trust: how far the network's answer is believed, from nothing (the naive guess) to fully.

An untrained network, or one that a drift has just made a fool of, answers worse than the naive guess. So the answer
is a convex mix of the two, and the network's share is what would have been best of late: the slope of the targets on
the network's outputs in a running least-squares fit, kept within [0, 1]. Where there is nothing to be learned, as on
a random walk, the share stays near zero and the stream is as good as the naive guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec, safe_divide
from liquid_core.types import BoolArray, FloatArray, IntArray

#: Weight of the newest target in the fit: its memory is about two hundred targets.
RATE = 0.005
#: The fit starts from this many imagined targets with which the network had no success, times the horizon: targets h
#: samples ahead overlap, and h of them say little more than one.
DOUBT = 8.0
#: Targets and outputs count no further than this, in residual scales: a breakdown must not decide alone for long after.
LIMIT = 1.5


@dataclass(frozen=True, slots=True)
class Trust:
    """Running products of target and output, `(batch, outputs)`."""

    count: IntArray
    cross: FloatArray
    power: FloatArray

    @staticmethod
    def arrays(num_outputs: int) -> dict[str, ArraySpec]:
        return {
            "count": ArraySpec(np.int64, (num_outputs,)),
            "cross": ArraySpec(np.float64, (num_outputs,)),
            "power": ArraySpec(np.float64, (num_outputs,)),
        }

    def update(self, target: FloatArray, output: FloatArray, observed: BoolArray) -> Trust:
        """Take in normalised targets and the network's outputs for them, `(batch, outputs)`, where `observed`."""
        count = self.count + observed
        weight = np.where(observed, np.maximum(1.0 / np.maximum(count, 1), RATE), 0.0)
        target, output = np.clip(target, -LIMIT, LIMIT), np.clip(output, -LIMIT, LIMIT)
        cross = self.cross + weight * (np.where(observed, target * output, 0.0) - self.cross)
        power = self.power + weight * (np.where(observed, output * output, 0.0) - self.power)
        return Trust(count=count, cross=cross, power=power)

    def share(self, lead: IntArray) -> FloatArray:
        """The network's share of the answer, `(batch, outputs)`, in [0, 1].

        `lead` is how many samples ahead each output looks, `(outputs,)`.
        """
        seen = self.count / (self.count + DOUBT * lead)
        return np.clip(seen * safe_divide(self.cross, self.power), 0.0, 1.0)


__all__ = ["Trust"]
