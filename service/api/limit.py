"""The limit: how many requests may be in progress at a time, so that those who are answered are answered soon.

Everything at the edge happens in one event loop, and a request goes through it about eight times, each time behind all
others that are ready. So more requests at a time are not more a second; they only make everybody wait. Want of time
shows in how late the loop comes to what is due. What waits elsewhere, for the store or the engine, does not make it
late and is bounded by the batcher.

By Little's law, what is in progress is what is answered a second times how long an answer takes. While the loop is
late, the limit is therefore the rate of the last seconds, times how long an answer may take: a few times as long as at
best. Rate and best are followed as BBR does for the path of a network (Cardwell et al. 2016, "BBR: Congestion-Based
Congestion Control"): the most and the least that was seen, both slowly forgotten.
"""

from __future__ import annotations

from collections import deque

#: Requests that may be in progress however late the loop is, and however punctual: many may well come at a moment.
FEWEST, MOST = 16, 256
#: Ticks of the loop that are looked at: one may be late for any reason. Late on average is want of time, punctual is
#: none, and in between nothing changes.
TICKS = 8
LATE_S, PUNCTUAL_S = 0.002, 0.001
#: In want of time an answer may take so many times as long as at best, within these bounds.
PATIENCE = 3.0
SHORTEST_S, LONGEST_S = 0.01, 0.1
#: What a tick adds to the limit: much where less than half of it is used, little where the loop is punctual anyway.
_FREE, _IN_USE = 1.1, 1.02
#: A tick of 20 ms forgets so much of the rate, and of the best if it was punctual: halves in 1 and doubles in 46 s.
_RATE_KEPT, _BEST_KEPT = 0.986, 1.0003


class Limit:
    """Follows the ticks of the event loop, and knows no clock."""

    def __init__(self) -> None:
        self._now = float(MOST)
        self._lags_s: deque[float] = deque(maxlen=TICKS)
        self._elapsed_s: deque[float] = deque(maxlen=TICKS)
        #: Answers of each tick, and how long they took in all; the last one is under way.
        self._answers: deque[int] = deque([0], maxlen=TICKS)
        self._took_s: deque[float] = deque([0.0], maxlen=TICKS)
        self._per_s = 0.0
        self._best_s: float | None = None

    @property
    def now(self) -> int:
        """Requests that may be in progress."""
        return int(self._now)

    def answered(self, took_s: float) -> None:
        """A request is not in progress any more."""
        self._answers[-1] += 1
        self._took_s[-1] += took_s

    def tick(self, interval_s: float, lag_s: float, reached: int) -> None:
        """An interval has passed, the loop came so late to its end, and so many were in progress at most."""
        self._lags_s.append(lag_s)
        self._elapsed_s.append(interval_s + lag_s)
        late_s = sum(self._lags_s) / len(self._lags_s)
        mean_s = self._measure(is_punctual=late_s < PUNCTUAL_S)
        self._answers.append(0)
        self._took_s.append(0.0)
        if len(self._lags_s) < TICKS:
            return
        if reached < self.now // 2:
            self._now = min(MOST, self._now * _FREE)
        elif late_s >= LATE_S:
            self._now = max(FEWEST, min(self._per_s * self._patience_s(), MOST))
        elif late_s < PUNCTUAL_S and mean_s < self._patience_s():
            self._now = min(MOST, self._now * _IN_USE)

    def _measure(self, *, is_punctual: bool) -> float:
        """Follow rate and best; how long an answer takes now, 0 where there are too few to tell."""
        answers = sum(self._answers)
        self._per_s = max(answers / sum(self._elapsed_s), self._per_s * _RATE_KEPT)
        if answers < TICKS:  # a few may all be of the quick kind
            return 0.0
        mean_s = sum(self._took_s) / answers
        before_s = mean_s if self._best_s is None else self._best_s
        self._best_s = min(mean_s, before_s * _BEST_KEPT if is_punctual else before_s)
        return mean_s

    def _patience_s(self) -> float:
        """How long an answer may take where there is want of time."""
        return max(SHORTEST_S, min(PATIENCE * (self._best_s or 0.0), LONGEST_S))


__all__ = ["FEWEST", "MOST", "TICKS", "Limit"]
