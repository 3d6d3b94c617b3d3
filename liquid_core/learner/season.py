"""The season: after how many samples a stream repeats itself, and what it was then.

For every lag the running mean of the squared distance between a value and the one so many samples before it is kept;
a lag at which that falls well below what it was at shorter ones is a period. The shortest of the good ones counts. A
stream whose typical gap divides the day into few enough samples is taken to follow the day, unless it clearly has
another period.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.calendar import DAY
from liquid_core.learner.part import ArraySpec, safe_divide
from liquid_core.types import BoolArray, FloatArray, IntArray

#: Weight of the newest distance: its memory is about five hundred samples.
RATE = 0.002
#: Tracks that decide the period, at most: the first ones.
MAX_DECIDING = 8
#: A squared distance, in variances, counts no further than this.
MAX_DISTANCE = 16.0
#: The period is looked for at every so many samples.
INTERVAL = 16
#: A period's distance lies below this share of the largest at shorter lags, and within this factor of the best.
DEPTH, MARGIN = 0.8, 1.3
#: A distance below this many variances is round-off's: a series that repeats itself exactly has many of them.
NEGLIGIBLE = 1e-9
#: The day is kept to unless another period's distance lies below this share of a day's.
PREFERENCE = 0.7
#: How many periods back the values that are shown lie: the last ones, and for a day the one a week ago.
PERIODS_BACK = (0, 1, 2, 6)


@dataclass(frozen=True, slots=True)
class Season:
    """Ring of past values, distances by lag, and the period in samples; zero where there is none.

    Sample number n lies in slot ``-n % length``, so that the one of a lag more lies one further on; lag p stands at
    index p.
    """

    #: `(batch, tracks, length)`.
    values: FloatArray
    #: `(batch, length)`.
    distance: FloatArray
    #: `(batch,)`.
    period: IntArray

    @staticmethod
    def arrays(length: int, num_tracks: int) -> dict[str, ArraySpec]:
        return {
            "values": ArraySpec(np.float64, (num_tracks, length)),
            "distance": ArraySpec(np.float64, (length,)),
            "period": ArraySpec(np.int64),
        }

    def put(self, number: IntArray, newest: IntArray, values: FloatArray, active: BoolArray) -> None:
        """Write the `values` `(batch, tracks)` of sample `number` `(batch,)` in place, if `active` and still kept."""
        length = self.values.shape[2]
        active = active & (number > newest - length)
        lanes = np.arange(len(number))[active]
        self.values[lanes, :, (-number % length)[active]] = values[active]

    def mend(self, outlier: IntArray, newest: IntArray, wrong: FloatArray, after: FloatArray, where: BoolArray) -> None:
        """Put the middle of the values before and after sample `outlier` `(batch,)` in the place of what it left.

        Else an outlier would come again a period later, as what was then, and make any other period look better. It
        also stands at later samples that had it as their last value, up to sample `newest` `(batch,)`.

        Parameters
        ----------
        wrong, after
            The value that sample `outlier` left, and the one that came then, `(batch, tracks)`.
        where
            The tracks that are to be mended, `(batch, tracks)`.
        """
        length, lanes = self.values.shape[2], np.arange(len(outlier))
        kept = (outlier >= 2) & (outlier - 1 > newest - length)
        before = self.values[lanes, :, (1 - outlier) % length]
        age = (np.arange(length) + newest[:, None]) % length
        since = kept[:, None] & (age <= (newest - outlier)[:, None])
        left = since[:, None] & where[:, :, None] & (self.values == wrong[:, :, None])
        self.values[...] = np.where(left, (0.5 * (before + after))[:, :, None], self.values)

    def measure(
        self, number: IntArray, newest: IntArray, deviation: FloatArray, jumped: BoolArray, active: BoolArray
    ) -> Season:
        """Take in the distances of sample `number`, just put into the ring, to those before it.

        Where a track has just `jumped` `(batch, tracks)` there are none: an outlier is far from everything, which would
        count more at the long lags, of which little is known, and not at all at those that are not known yet.
        """
        tracks, length = min(self.values.shape[1], MAX_DECIDING), self.values.shape[2]
        lanes, lag = np.arange(len(number))[:, None], np.arange(length)[None, :]
        inverse = safe_divide(np.ones_like(deviation), deviation)
        square = np.zeros((len(number), length))
        for track in range(tracks):
            now = self.values[lanes, track, (-number % length)[:, None]]
            then = self.values[lanes, track, (lag - number[:, None]) % length]
            apart = (now - then) * inverse[:, track : track + 1]
            square = square + np.minimum(apart * apart, MAX_DISTANCE)
        seen = number[:, None] - lag
        calm = ~jumped[:, :tracks].any(axis=1)
        known = (active & calm)[:, None] & (lag >= 1) & (seen >= 1) & (seen > newest[:, None] - length)
        weight = np.maximum(1.0 / np.maximum(seen, 1), RATE)
        distance = np.where(known, self.distance + weight * (square - self.distance), self.distance)
        looks = active & calm & (number % INTERVAL == 0)
        period = np.where(looks, _shortest_period(distance, number, known), self.period)
        return Season(values=self.values, distance=distance, period=period)

    def lag(self, gap: FloatArray, span: FloatArray) -> IntArray:
        """The period in samples, `(batch,)`: the one found, or a day's; zero where there is none.

        `gap` is the typical one and `span` what the stream has lasted, in seconds.
        """
        day = np.floor(safe_divide(np.full_like(gap, DAY), gap) + 0.5)
        length = self.distance.shape[1]
        fits = (span >= DAY) & (day >= 2) & (day < length)
        lanes, day = np.arange(len(day)), np.where(fits, day, 0).astype(np.int64)
        better = self.distance[lanes, self.period] < PREFERENCE * self.distance[lanes, day]
        return np.where(fits & ~((self.period > 0) & better), day, self.period)

    def back(self, number: IntArray, ahead: int, lag: IntArray, periods: int) -> tuple[FloatArray, BoolArray]:
        """Values at the same point of a past period as sample ``number + ahead`` is.

        Parameters
        ----------
        number
            The newest sample, `(batch,)`.
        ahead
            Samples from there to the target; 0 where the sample's own label is the target.
        lag
            The period, `(batch,)`.
        periods
            How many periods before the newest that is known.

        Returns
        -------
        `(batch, tracks)`, and where they are in the ring, `(batch,)`.
        """
        length = self.values.shape[2]
        step = np.maximum(lag, 1)
        whole = max(ahead, 1) + step - 1
        at = number + ahead - step * (whole // step + periods)
        known = (lag > 0) & (at >= 1) & (at > number - length)
        return self.values[np.arange(len(number)), :, -at % length], known


def _shortest_period(distance: FloatArray, number: IntArray, known: BoolArray) -> IntArray:
    """The period in distances `(batch, length)`, of which so many are `known`, after `number` samples; zero where there
    is none."""
    length = distance.shape[1]
    lag = np.arange(length)
    inner = slice(2, length - 1)
    largest = np.maximum.accumulate(distance[:, 1:], axis=1)[:, : length - 3]  # over lags 1 .. p - 1, for p in `inner`
    here = distance[:, inner]
    valley = (here <= distance[:, 1 : length - 2]) & (here <= distance[:, 3:length])
    good = valley & known[:, inner] & (here < DEPTH * largest) & (2 * lag[inner] <= number[:, None])
    best = np.where(good, here, np.inf).min(axis=1, initial=np.inf)
    good &= here <= MARGIN * best[:, None] + NEGLIGIBLE
    return np.where(good.any(axis=1), good.argmax(axis=1) + 2, 0)


__all__ = ["PERIODS_BACK", "Season"]
