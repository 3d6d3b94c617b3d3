"""The naive guess of a regression's next label: the running mean or the last label, whichever has been closer.

Labels that wander, such as an approval rating, are best guessed by the last one; labels that jump about their mean,
such as a dice roll's, by the mean. Both are in the labels' history, and are kept with every sample until its label
arrives, so that a late label judges what was known when it was asked for.
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
    """Running errors of both guesses, each `(batch, targets)`."""

    mean_error: FloatArray
    last_error: FloatArray

    @staticmethod
    def arrays(num_targets: int) -> dict[str, ArraySpec]:
        return {name: ArraySpec(np.float64, (num_targets,)) for name in ("mean_error", "last_error")}

    def update(
        self,
        label: FloatArray,
        observed: BoolArray,
        guesses: tuple[FloatArray, FloatArray],
        guessed: BoolArray,
        seen: IntArray,
    ) -> Guess:
        """Judge both guesses by labels, `(batch, targets)`.

        Parameters
        ----------
        label, observed
            The labels, within the reach of the history's moments: a wild one says little about a guess. And where
            there is one.
        guesses, guessed
            The mean and the last label as they stood when the sample came, and whether there was any.
        seen
            Labels before these.
        """
        judged = observed & guessed
        mean, last = guesses
        weight = np.maximum(1.0 / np.maximum(seen, 1), ERROR_RATE)

        def error(running: FloatArray, guess: FloatArray) -> FloatArray:
            return np.where(judged, running + weight * (np.abs(label - guess) - running), running)

        return Guess(mean_error=error(self.mean_error, mean), last_error=error(self.last_error, last))

    def best(self, mean: FloatArray, last: FloatArray) -> FloatArray:
        """The guess for the next label, of the mean and the last one, each `(batch, targets)`."""
        return np.where(self.last_error < self.mean_error, last, mean)


__all__ = ["Guess"]
