"""What is unusual, plainly: three views of every target, each held against all of its kind before it."""

from __future__ import annotations

import math

from liquid_core.learner import anomaly

from .parts import Track


def share_of(square: float) -> float:
    """One half where the square is that of three units."""
    return square / (9 + square)


class Unusual:
    """How far the worst target lies out, how much worse it has been lately, how far off the level: each by its own root
    mean square, to which ten targets of one unit belong."""

    def __init__(self, tracks: list[Track], rate: float) -> None:
        self.tracks, self.rate = tracks, rate
        #: Of each track, with how many values it had by then.
        self.standings: list[list[tuple[int, float]]] = [[] for _ in tracks]
        self.views: list[tuple[float, float, float]] = []
        self.alone: list[float] = []

    def score(self, worst: float, values: dict[int, float]) -> float:
        """Of the target that lies `worst` half-widths out, negative if there is none; `values` by track."""
        farthest = 0.0
        for track, value in values.items():
            farthest = max(farthest, abs(self.level(track, value)))
        if worst < 0:
            return -1.0
        squares = [max(square, floor) for square, floor in zip(self.usual_squares(), anomaly.FLOOR, strict=True)]
        self.alone.append(share_of(worst**2 / squares[0]))
        usual = self.mean_score(self.rate)
        lately = max(self.mean_score(anomaly.RECENT_RATE) / usual - 1, 0.0) if usual else 0.0
        self.views.append((worst, lately, farthest))
        return max(share_of(view**2 / square) for view, square in zip(self.views[-1], squares, strict=True))

    def level(self, track: int, value: float) -> float:
        """The mean of the track's values in deviations from what their mean was; the values from before it count as
        zero."""
        seen = self.tracks[track]
        standing = (value - seen.mean()) / seen.deviation() if seen.deviation() else 0.0
        limited = max(-anomaly.MAX_STANDING, min(anomaly.MAX_STANDING, standing))
        self.standings[track].append((len(seen.seen) + 1, limited))
        level = 0.0
        for count, one in self.standings[track]:
            level += max(1 / count, anomaly.RECENT_RATE) * (one - level)
        return level

    def mean_score(self, rate: float) -> float:
        """Of the targets by themselves, to which ten of one unit belong."""
        mean = share_of(1.0)
        for count, score in enumerate(self.alone, start=anomaly.PRIOR + 1):
            mean += max(1 / count, rate) * (score - mean)
        return mean

    def usual_squares(self) -> list[float]:
        """Mean squares of the three, none of which counts further than ten times its root mean square before it."""
        means = [1.0] * len(anomaly.FLOOR)
        for count, views in enumerate(self.views, start=anomaly.PRIOR + 1):
            weight = max(1 / count, self.rate)
            means = [mean + weight * (min(view**2, 100 * mean) - mean) for mean, view in zip(means, views, strict=True)]
        return means


def odds_distance(probability: float, num_classes: int) -> float:
    """How far a class lies out that was given a `probability`."""
    return math.sqrt((1 - probability) / max(probability, 1e-12) / (num_classes - 1))


__all__ = ["Unusual", "odds_distance"]
