"""Scoring from outside: a client's own count of how good the answers were, beside persistence.

Persistence says that nothing changes: the next value is the last one known when the sample was sent, the next class is
the last class known. A prediction that does not beat it is worth nothing, so every error here stands beside its own.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from liquidstream_client import Prediction, SampleResult

#: A value or class that became known; `None` and NaN are missing.
Target = Sequence[float | None] | str

RECENT = 100


@dataclass(slots=True)
class Tally:
    """The errors of one horizon, in the order in which their targets arrived."""

    errors: array[float] = field(default_factory=lambda: array("d"))
    naive: array[float] = field(default_factory=lambda: array("d"))

    def add(self, error: float, naive: float) -> None:
        self.errors.append(error)
        self.naive.append(naive)

    def __len__(self) -> int:
        return len(self.errors)

    @property
    def recent(self) -> tuple[float, float]:
        """Mean error and persistence's over the last hundred targets; NaN before the first."""
        return _mean(self.errors[-RECENT:]), _mean(self.naive[-RECENT:])

    @property
    def first_quarter(self) -> float:
        return _mean(self.errors[: max(1, len(self) // 4)])

    @property
    def last_quarter(self) -> float:
        return _mean(self.errors[-max(1, len(self) // 4) :])

    @property
    def ratio(self) -> float:
        """Error over persistence's error, on the last quarter; below 1 the stream has learned something."""
        naive = _mean(self.naive[-max(1, len(self) // 4) :])
        return self.last_quarter / naive if naive > 0 else math.nan


class Scorer:
    """Joins answers with the targets that they were about.

    Forecast and regression: absolute error, averaged over the targets that are there. Classification: 0 or 1.

    Call `observed` when a target becomes known and `sent` when a sample goes out, in the order in which that happens;
    `answered` may come later.

    Parameters
    ----------
    horizons
        Samples ahead; empty where labels come from outside.
    """

    def __init__(self, horizons: Sequence[int] = ()) -> None:
        self.tallies: dict[int | None, Tally] = {horizon: Tally() for horizon in horizons} or {None: Tally()}
        self.drift_seqs: list[int] = []
        self._last: Target | None = None
        self._naive: dict[int, Target | None] = {}
        self._targets: dict[int, Target] = {}
        self._waiting: dict[int, list[tuple[int | None, Prediction, Target | None]]] = {}
        self._newest_answer = 0

    def observed(self, seq: int, target: Target) -> None:
        """The target of sample `seq` is known (forecast: the sample's own values)."""
        if not isinstance(target, str):
            target = [None if value is None or math.isnan(value) else value for value in target]
        for horizon, prediction, naive in self._waiting.pop(seq, ()):
            self._settle(horizon, prediction, naive, target)
        self._targets[seq] = target
        self._last = _carried(self._last, target)

    def sent(self, seq: int) -> None:
        """Sample `seq` goes out: what is known now is what persistence would predict."""
        self._naive[seq] = self._last

    def answered(self, answer: SampleResult) -> None:
        """The server's predictions for a sample that was `sent`."""
        if answer.drift is not None:
            self.drift_seqs.append(answer.seq)
        naive = self._naive.pop(answer.seq, None)
        for prediction in answer.predictions or ():
            about = answer.seq + (prediction.horizon or 0)
            if about in self._targets:
                self._settle(prediction.horizon, prediction, naive, self._targets[about])
            else:
                self._waiting.setdefault(about, []).append((prediction.horizon, prediction, naive))
        for seq in range(self._newest_answer + 1, answer.seq + 1):
            self._targets.pop(seq, None)  # no later answer can be about it: horizons reach forward
        self._newest_answer = max(self._newest_answer, answer.seq)

    def drifted(self, seq: int) -> None:
        """A label set the detector off."""
        self.drift_seqs.append(seq)

    def _settle(self, horizon: int | None, prediction: Prediction, naive: Target | None, target: Target) -> None:
        error, persistence = _error(prediction, target), _distance(naive, target)
        if error is not None and persistence is not None:
            self.tallies[horizon].add(error, persistence)


def _error(prediction: Prediction, target: Target) -> float | None:
    return _distance(prediction.label if isinstance(target, str) else prediction.y, target)


def _distance(guess: Target | None, target: Target) -> float | None:
    """Mean absolute difference over the values that both have; for classes 0 or 1; `None` where there is nothing."""
    if guess is None:
        return None
    if isinstance(target, str) or isinstance(guess, str):
        return float(guess != target)
    pairs = [(a, b) for a, b in zip(guess, target, strict=True) if a is not None and b is not None]
    return sum(abs(a - b) for a, b in pairs) / len(pairs) if pairs else None


def _carried(last: Target | None, new: Target) -> Target:
    """The newest known value of each target."""
    if last is None or isinstance(new, str) or isinstance(last, str):
        return new
    return [b if b is not None else a for a, b in zip(last, new, strict=True)]


def _mean(values: array[float]) -> float:
    return sum(values) / len(values) if values else math.nan


__all__ = ["RECENT", "Scorer", "Tally", "Target"]
