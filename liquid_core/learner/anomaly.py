"""How unusual a target is: by itself, in what has lately been answered wrongly, and in where the stream now stands.

A fault is seldom one wild reading. It may be a level that no longer returns, which each answer follows at once, or
targets that are a little worse predicted than usual for hours. So a target is looked at in three ways, and the most
unusual of them is the score:

* how far it lies from its answer, in half-widths of the interval, or for a class by the odds that were against it;
* how much more surprise there has been lately than there usually is, the short-term mean of scores against their
  long-term one, as in Numenta's anomaly likelihood [1]_;
* how far the short-term mean of the values lies from their long-term one, in running deviations.

Each is measured by its own running root mean square: what a stream does all the time is not unusual in it, however
noisy it is and however many targets it has. By Markov's inequality no more than about one in k² is more than k root
mean squares out in the long run, whatever the distribution.

References
----------
.. [1] A. Lavin, S. Ahmad, "Evaluating real-time anomaly detection algorithms - the Numenta anomaly benchmark", IEEE
   International Conference on Machine Learning and Applications (2015), 38-44.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec, safe_divide
from liquid_core.learner.residual import Residual
from liquid_core.types import BoolArray, FloatArray, IntArray

#: Multiple of what is usual at which the score is one half.
HALF = 3.0
#: Weight of the newest value in a short-term mean: lately is about a hundred targets, as it is for the running errors.
RECENT_RATE = 0.01
#: Usual targets, one unit from what was expected, that a stream is taken to have had before its first.
PRIOR = 10
#: Smallest mean squares of the three: nothing is unusual inside its interval, nor a tenth more surprise than usual,
#: nor a tenth of a deviation. Else a stream that has been still for long would cry at a breath.
FLOOR = (1.0, 0.01, 0.01)
#: Smallest mean score that counts as usual, that of normal noise in intervals of 90 %: where answers have long been
#: exact, one that is not does not make a time of surprises.
LEAST_SURPRISE = 0.04
#: A value counts no further than this many deviations from the mean, so that one alone is not a level.
MAX_STANDING = 10.0
#: Largest distance of a target.
MAX_DISTANCE = 1e6


@dataclass(frozen=True, slots=True)
class Anomaly:
    """What is usual.

    `count` of targets and mean `square` of the three, `(batch, 3)`; short- and long-term mean of the scores of the
    targets by themselves, `(batch,)`; and the short-term mean of each track, in deviations, `(batch, tracks)`.
    """

    count: IntArray
    square: FloatArray
    recent: FloatArray
    usual: FloatArray
    level: FloatArray

    @staticmethod
    def arrays(num_tracks: int) -> dict[str, ArraySpec]:
        usual = 1.0 / (1.0 + HALF * HALF)  # score of one unit
        return {
            "count": ArraySpec(np.int64, (len(FLOOR),), PRIOR),
            "square": ArraySpec(np.float64, (len(FLOOR),), 1.0),
            "recent": ArraySpec(np.float64, (), usual),
            "usual": ArraySpec(np.float64, (), usual),
            "level": ArraySpec(np.float64, (num_tracks,)),
        }

    def update(
        self, distance: FloatArray, standing: FloatArray, known: BoolArray, seen: IntArray, rate: float
    ) -> tuple[FloatArray, Anomaly]:
        """Score targets that arrived, and take them in.

        Parameters
        ----------
        distance
            Of the target that lies farthest from its answer, `(batch,)`; negative where there is none to score.
        standing, known
            How far the value of each track lies from its running mean, in deviations, `(batch, tracks)`, and where
            there is one.
        seen
            Values of the track before this one, `(batch, tracks)`.
        rate
            Forgetting rate of what is usual.

        Returns
        -------
        Scores in [0, 1), `(batch,)`, -1 where there was nothing to score; and the state after them.
        """
        weight = np.maximum(1.0 / np.maximum(seen + 1, 1), RECENT_RATE)
        value = np.clip(np.where(known, standing, 0.0), -MAX_STANDING, MAX_STANDING)
        level = np.where(known, self.level + weight * (value - self.level), self.level)
        farthest = np.where(known, np.abs(level), 0.0).max(axis=1)

        scored = distance >= 0
        least = np.maximum(self.square, FLOOR)
        alone = _score(distance * distance / least[:, 0])
        share = 1.0 / np.maximum(self.count[:, 0] + scored, 1)
        recent = self.recent + np.maximum(share, RECENT_RATE) * (alone - self.recent)
        usual = self.usual + np.maximum(share, rate) * (alone - self.usual)
        lately = np.maximum((recent - usual) / np.maximum(usual, LEAST_SURPRISE), 0.0)

        views = np.stack([distance, lately, farthest], axis=1)
        score = _score((views * views / least).max(axis=1))
        after = Residual(self.count, self.square).update(views, np.repeat(scored[:, None], views.shape[1], 1), rate)
        return np.where(scored, score, -1.0), Anomaly(
            count=after.count,
            square=after.square,
            recent=np.where(scored, recent, self.recent),
            usual=np.where(scored, usual, self.usual),
            level=level,
        )


def interval_distance(error: FloatArray, half_width: FloatArray, observed: BoolArray) -> FloatArray:
    """Largest of the errors `(batch, outputs)` in half-widths, `(batch,)`; -1 where none was observed."""
    distance = np.where(observed, safe_divide(np.abs(error), half_width), -1.0)
    worst: FloatArray = distance.max(axis=1)
    return np.minimum(worst, MAX_DISTANCE)


def class_distance(probability: FloatArray, num_classes: int, known: BoolArray) -> FloatArray:
    """The same for a class to which the answer gave a `probability` `(batch,)`: -1 where it is not `known`.

    The odds against it are Pearson's chi-squared statistic of the answer. Where the probabilities are right, their mean
    is the number of classes less one; so the mean square of this distance is one.
    """
    odds = (1.0 - probability) / np.maximum(probability, 1.0 / (MAX_DISTANCE * MAX_DISTANCE))
    return np.where(known, np.sqrt(np.maximum(odds, 0.0) / (num_classes - 1)), -1.0)


def _score(square: FloatArray) -> FloatArray:
    """In [0, 1) of a square in units of the usual one: 0.1 at one, 0.5 three times as far out, 0.92 ten times."""
    return square / (HALF * HALF + square)


__all__ = ["FLOOR", "HALF", "PRIOR", "RECENT_RATE", "Anomaly", "class_distance", "interval_distance"]
