"""Parts of a plain stream: averages over lists where the learner keeps running ones, whole matrices for triangles."""

from __future__ import annotations

import math

import numpy as np

from liquid_core.learner import guess, rls
from liquid_core.learner.history import HALF_AGE, SLOW
from liquid_core.types import FloatArray

DAY, WEEK = 86_400.0, 604_800.0


class CappedSquares:
    """Root mean square of values, each counting at most ten times the scale before it."""

    def __init__(self) -> None:
        self.squares: list[float] = []

    def add(self, value: float) -> None:
        cap = 10 * self.scale() or math.inf
        self.squares.append(min(abs(value), cap) ** 2)

    def scale(self) -> float:
        return math.sqrt(sum(self.squares) / len(self.squares)) if self.squares else 0.0


class LeastSquares:
    """Weights of some outputs that share their features, and the covariance of what each of them was learned from."""

    def __init__(self, num_outputs: int, num_features: int) -> None:
        self.weights = np.zeros((num_outputs, num_features))
        self.covariance = rls.PRIOR * np.eye(num_features)

    def learn(
        self, features: FloatArray, errors: dict[int, float], forgetting: float, told: float, curvature: float = 1.0
    ) -> None:
        """Move the weights by the errors of the outputs that have one, as far as these have told something."""
        seen = self.covariance @ features
        gain = seen / (forgetting / (curvature * told) + features @ seen)
        self.covariance = (self.covariance - np.outer(gain, seen)) / forgetting
        self.cap()
        for output, error in errors.items():
            self.weights[output] += max(-rls.MAX_ERROR, min(rls.MAX_ERROR, error / curvature)) * gain

    def cap(self) -> None:
        """No variance grows beyond what it began with."""
        shrink = np.minimum(1.0, np.sqrt(rls.PRIOR / np.diagonal(self.covariance)))
        self.covariance = self.covariance * np.outer(shrink, shrink)


class Track:
    """A feature or a target: all values that were seen of it, in the order in which they came to be known."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        #: The same, each no further than ten deviations from the mean before it once there were ten.
        self.capped: list[float] = []
        self.moves: list[float] = []
        self.changes = CappedSquares()
        self.slow = [0.0] * len(SLOW)

    def take(self, value: float) -> None:
        if self.seen:
            self.moves.append(value - self.last)
            self.changes.add(self.moves[-1])
        self.capped.append(self.within_reach(value))
        self.seen.append(value)
        for place, reach in enumerate(SLOW):
            self.slow[place] += max(1 / len(self.seen), 1 / reach) * (self.capped[-1] - self.slow[place])

    def within_reach(self, value: float) -> float:
        reach = 10 * self.deviation() if len(self.seen) >= 10 else 0.0
        return max(self.mean() - reach, min(self.mean() + reach, value)) if reach > 0 else value

    @property
    def last(self) -> float:
        return self.seen[-1] if self.seen else 0.0

    def mean(self) -> float:
        return float(np.mean(self.capped)) if self.capped else 0.0

    def deviation(self) -> float:
        return float(np.std(self.capped)) if self.capped else 0.0

    def level(self, smallest: float = 0.0) -> float:
        """The last value in deviations from the mean; zero where the deviation is the smallest or less."""
        return (self.last - self.mean()) / self.deviation() if self.deviation() > smallest else 0.0

    def in_scales(self, move: float) -> float:
        return move / self.changes.scale() if self.changes.scale() else 0.0

    def jumped(self) -> bool:
        """Whether the last movement was an outlier's, or the first of a new level."""
        return bool(self.moves) and abs(self.moves[-1]) > 10 * self.changes.scale()

    def rebounds(self, value: float) -> bool:
        """Whether a new value jumps straight back."""
        back = value - self.last
        return self.jumped() and abs(back) > 10 * self.changes.scale() and (self.moves[-1] > 0) != (back > 0)

    def view(self, age: int) -> list[float]:
        """Level, the last three movements, newest first, and age."""
        moves = [*reversed(self.moves), 0.0, 0.0, 0.0][:3]
        shown = [self.level(), *(self.in_scales(move) for move in moves)]
        return [*within_five(shown), age / (age + HALF_AGE)]


class Guess:
    """What the next label is taken to be: the mean of all labels, or the last, whichever was closer so far."""

    def __init__(self, labels: Track) -> None:
        self.labels = labels
        self.mean_error = self.last_error = 0.0

    def judge(self, label: float, then: tuple[float, float] | None) -> None:
        """`then`: mean and last label when the sample came; none before the first label."""
        if then:
            counted, weight = self.labels.within_reach(label), max(1 / len(self.labels.seen), guess.ERROR_RATE)
            self.mean_error += weight * (abs(counted - then[0]) - self.mean_error)
            self.last_error += weight * (abs(counted - then[1]) - self.last_error)

    def both(self) -> tuple[float, float]:
        return self.labels.mean(), self.labels.last

    def best(self) -> float:
        return self.both()[1 if self.last_error < self.mean_error else 0]


def within_five(values: list[float]) -> list[float]:
    """What is shown of values: the scaler's limits."""
    return [max(-5.0, min(5.0, value)) for value in values]


def wave(t: float, period: float) -> tuple[float, float]:
    """Bhaskara's sine and cosine of the point in the period."""

    def sine(turns: float) -> float:
        phase = turns % 1.0
        angle = 180 * (phase if phase < 0.5 else phase - 0.5) * 2
        size = 4 * angle * (180 - angle) / (40_500 - angle * (180 - angle))
        return size if phase < 0.5 else -size

    return sine(t / period), sine(t / period + 0.25)


def softmax(logits: FloatArray) -> FloatArray:
    return np.asarray(np.exp(logits) / np.exp(logits).sum())
