"""A surge of errors: for some samples they have been several times as large as usual.

Then what was learned no longer holds, and each further sample makes the readout's least squares a little less certain
of it, the more so the larger the errors, until they have come down. A drift alarm says once that something changed; the
surge says how much, and when it has been learned. It is a variable forgetting factor [1]_ that is one at all other
times: without a surge nothing is forgotten sooner.

Where the naive guess errs more than usual as well, these are the busy hours of a stream that has calm ones, and a surge
has to be so much the larger: what was learned is not wrong because there is more to predict.

References
----------
.. [1] T. R. Fortescue, L. S. Kershenbaum and B. E. Ydstie, "Implementation of self-tuning regulators with variable
   forgetting factors", Automatica 17 (1981), 831-835.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec, safe_divide
from liquid_core.types import BoolArray, FloatArray, IntArray

#: Weights of the newest squared error in the recent and in the usual one.
RECENT_RATE, USUAL_RATE = 0.07, 0.002
#: A squared error counts no further than this many usual ones: it takes several to make a surge.
MAX_SQUARE = 9.0
#: Errors from which on that limit holds, and from which on there can be a surge: before, nothing is usual yet.
FIRST_LIMITED, FIRST_SURGE = 20, 50
#: A surge begins where the recent squared error is so many times the usual one; what is above, times `DOUBT`, is by how
#: much the covariance grows with a sample.
BEGINNING, DOUBT = 3.0, 0.4
#: It grows no further with one sample.
MAX_GROWTH = 1.5


@dataclass(frozen=True, slots=True)
class Surge:
    """Running mean squares of the errors, `(batch, 2)` each: those of the answer, and of the naive guess."""

    count: IntArray
    recent: FloatArray
    usual: FloatArray

    @staticmethod
    def arrays() -> dict[str, ArraySpec]:
        squares = ArraySpec(np.float64, (2,))
        return {"count": ArraySpec(np.int64), "recent": squares, "usual": squares}

    def update(self, error: FloatArray, naive_error: FloatArray, observed: BoolArray) -> Surge:
        """Take in the errors of an answer and of the naive guess, `(batch,)`, where `observed`."""
        square, seen = np.stack([error * error, naive_error * naive_error], axis=1), observed[:, None]
        limits = (self.count >= FIRST_LIMITED)[:, None]
        limited = np.where(limits, np.minimum(square, MAX_SQUARE * self.usual), square)
        count = self.count + observed
        share = (1.0 / np.maximum(count, 1))[:, None]
        recent = self.recent + np.maximum(share, RECENT_RATE) * (limited - self.recent)
        usual = self.usual + np.maximum(share, USUAL_RATE) * (limited - self.usual)
        return Surge(
            count=count,
            recent=np.where(seen, recent, self.recent),
            usual=np.where(seen, usual, self.usual),
        )

    def doubt(self) -> FloatArray:
        """Factor by which the covariance grows with this sample, `(batch,)`; one where there is no surge."""
        grown = safe_divide(self.recent, self.usual)
        above = np.maximum(grown[:, 0] / np.sqrt(np.maximum(grown[:, 1], 1.0)) - BEGINNING, 0.0)
        return np.where(self.count >= FIRST_SURGE, np.minimum(1.0 + DOUBT * above, MAX_GROWTH), 1.0)


__all__ = ["Surge"]
