"""The season of a plain stream: what was at each of its samples, and after how many it comes again."""

from __future__ import annotations

import math

from liquid_core.learner.season import DEPTH, INTERVAL, MARGIN, MAX_DISTANCE, NEGLIGIBLE, PREFERENCE

from .parts import DAY, Track


class PlainSeason:
    """Of targets whose `tracks` are given, over a `window` of samples."""

    def __init__(self, tracks: list[Track], window: int) -> None:
        self.tracks, self.window = tracks, window
        #: What each target was at sample n, or was last known to be: entry n. Before the first there was nothing.
        self.then: list[list[float]] = [[math.nan] * len(tracks)]
        self.distance = [0.0] * (window + 2)
        self.period = 0
        self.mended = 0

    @property
    def newest(self) -> int:
        return len(self.then) - 1

    def mend(self, outlier: int, track: int, after: float) -> None:
        """The middle of its neighbours stands for an outlier, also where it is the last that was known."""
        wrong = self.then[outlier][track]
        if outlier - 1 >= max(1, self.newest - self.window):
            middle = (self.then[outlier - 1][track] + after) / 2
            for values in self.then[outlier:]:
                values[track] = middle if values[track] == wrong else values[track]
            self.mended += 1

    def measure(self, number: int) -> None:
        """Distances of a sample's values to those before, and now and then the lag at which they are smallest."""
        if any(track.jumped() for track in self.tracks):
            return
        known = [lag for lag in range(1, self.window + 1) if number - lag >= max(1, self.newest - self.window)]
        for lag in known:
            square = 0.0
            for now, then, track in zip(self.then[number], self.then[number - lag], self.tracks, strict=True):
                deviation = track.deviation()
                square += min(((now - then) / deviation) ** 2, MAX_DISTANCE) if deviation else 0.0
            self.distance[lag] += (square - self.distance[lag]) / (number - lag)
        if number % INTERVAL == 0:
            good = [lag for lag in known if 2 <= lag < self.window and 2 * lag <= number and self.is_valley(lag)]
            best = min((self.distance[lag] for lag in good), default=0.0)
            self.period = min((lag for lag in good if self.distance[lag] <= MARGIN * best + NEGLIGIBLE), default=0)

    def is_valley(self, lag: int) -> bool:
        here = self.distance[lag]
        deep = here < DEPTH * max(self.distance[1:lag])
        return deep and here <= min(self.distance[lag - 1], self.distance[lag + 1])

    def lag(self, times: list[float], gap: float) -> int:
        """Samples in a day, unless the stream has lasted none or clearly has another period."""
        day = math.floor(DAY / gap + 0.5) if gap else 0
        if times[-1] - times[0] < DAY or not 2 <= day <= self.window:
            return self.period
        clearly = self.period and self.distance[self.period] < PREFERENCE * self.distance[day]
        return self.period if clearly else day

    def back(self, ahead: int, lag: int, periods: int, track: int) -> float | None:
        """What a target was whole periods before the sample so many ahead, so many before the last that is known."""
        if not lag:
            return None
        at = self.newest + ahead - lag
        while at > self.newest:
            at -= lag
        at -= periods * lag
        return self.then[at][track] if at >= max(1, self.newest - self.window) else None
