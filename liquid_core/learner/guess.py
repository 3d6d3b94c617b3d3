"""The naive guess of a regression's next label: the running mean or the last label, whichever has been closer.

Labels that wander, such as an approval rating, are best guessed by the last one; labels that jump about their mean,
such as a dice roll's, by the mean. Both guesses are kept with every sample until its label arrives, so that a late
label judges what was known when it was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec
from liquid_core.types import BoolArray, FloatArray, IntArray

#: Weight of the newest label in the running errors of both guesses: their memory is about a hundred labels.
ERROR_RATE = 0.01


@dataclass(frozen=True, slots=True)
class Guess:
    """Labels so far, each `(batch, targets)`: how many, their running mean, the last, and each one's running error."""

    count: IntArray
    mean: FloatArray
    last: FloatArray
    mean_error: FloatArray
    last_error: FloatArray

    @staticmethod
    def arrays(num_targets: int) -> dict[str, ArraySpec]:
        width = (num_targets,)
        numbers = {name: ArraySpec(np.float64, width) for name in ("mean", "last", "mean_error", "last_error")}
        return {"count": ArraySpec(np.int64, width)} | numbers

    def update(
        self,
        label: FloatArray,
        observed: BoolArray,
        guesses: tuple[FloatArray, FloatArray],
        guessed: BoolArray,
        rate: float,
    ) -> Guess:
        """Take in labels, `(batch, targets)`.

        Parameters
        ----------
        label, observed
            The labels and where there is one.
        guesses, guessed
            The mean and the last label as they stood when the sample came, and whether there was any.
        rate
            Forgetting rate of the running mean.
        """
        count = self.count + observed
        judged = observed & guessed
        mean, last = guesses
        weight = np.maximum(1.0 / np.maximum(self.count, 1), ERROR_RATE)

        def error(running: FloatArray, guess: FloatArray) -> FloatArray:
            return np.where(judged, running + weight * (np.abs(label - guess) - running), running)

        forgetting = np.maximum(1.0 / np.maximum(count, 1), rate)
        return Guess(
            count=count,
            mean=np.where(observed, self.mean + forgetting * (label - self.mean), self.mean),
            last=np.where(observed, label, self.last),
            mean_error=error(self.mean_error, mean),
            last_error=error(self.last_error, last),
        )

    def best(self) -> FloatArray:
        """The guess for the next label, `(batch, targets)`; zero before the first."""
        return np.where(self.last_error < self.mean_error, self.last, self.mean)


__all__ = ["Guess"]
