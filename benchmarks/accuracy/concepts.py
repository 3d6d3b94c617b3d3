"""Streams made by formula, whose drifts are known: nonlinear concepts with a memory, and random walks.

A concept is a small leaky recurrent network with random weights that turns three features into one target:

    s_t = (1 - leak) s_{t-1} + leak tanh(A x_t + R s_{t-1}),    y_t = tanh(w s_t),

scaled to mean 0 and variance 1 over a stretch of its own, plus noise. The features are noisy and remember themselves a
little; they never drift, only what follows from them does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from service.evaluation import Series
from service.evaluation.series import Floats, Ints

FEATURES = 3
STATE = 8
#: Of each state's way towards its new value in one step; the slow ones remember some ten steps.
LEAKS = (0.1, 0.7)
#: Sizes of the weights: from the features, to the target, and the largest eigenvalue of the recurrent ones.
GAIN = 0.6
READ = 1.0
RADIUS = 0.8
NOISE = 0.05
#: How much of a feature's last value is in its next.
MEMORY = 0.5
#: Rows on which a concept's scale is measured.
CALIBRATION = 3000
#: Rows that a concept sees before it holds; more than it can remember.
RUN_IN = 100

Change = Literal["abrupt", "gradual", "incremental"]


@dataclass(frozen=True)
class Concept:
    """One way in which the target follows from the features."""

    inputs: Floats
    """`(state, features)`."""
    recurrent: Floats
    """`(state, state)`."""
    readout: Floats
    """`(state,)`."""
    leak: Floats
    """`(state,)`."""
    mean: float = 0.0
    scale: float = 1.0

    def targets(self, x: Floats) -> Floats:
        """`(n,)` without noise, for features `(n, features)`."""
        driven = x @ self.inputs.T
        state = np.zeros(len(self.readout))
        out = np.empty(len(x))
        for row, drive in enumerate(driven):
            state = state + self.leak * (np.tanh(drive + self.recurrent @ state) - state)
            out[row] = self.readout @ state
        said: Floats = (np.tanh(out) - self.mean) / self.scale
        return said


@dataclass(frozen=True)
class Drifting:
    """A series and the rows from which a new concept holds."""

    series: Series
    drifts: Ints
    """First row of every concept but the first."""


def abrupt(seed: int, concepts: int = 12, length: int = 4000) -> Drifting:
    """Each concept holds for `length` rows and none comes back."""
    return _drifting(f"concepts_{seed}", seed, tuple(range(concepts)), length)


def recurring(seed: int, concepts: int = 3, times: int = 4, length: int = 4000) -> Drifting:
    """The same few concepts again and again."""
    return _drifting(f"recurring_{seed}", seed, tuple(range(concepts)) * times, length)


def gradual(seed: int, concepts: int = 6, length: int = 4000, over: int = 1000) -> Drifting:
    """For `over` rows after a drift, each row is the old concept's or the new one's, ever more often the latter."""
    return _drifting(f"gradual_{seed}", seed, tuple(range(concepts)), length, "gradual", over)


def incremental(seed: int, concepts: int = 6, length: int = 4000, over: int = 2000) -> Drifting:
    """For `over` rows after a drift, the target moves from the old concept's to the new one's."""
    return _drifting(f"incremental_{seed}", seed, tuple(range(concepts)), length, "incremental", over)


def walk(seed: int, length: int = 20_000) -> Series:
    """A random walk, of which nobody can say more than that it stays where it is."""
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.standard_normal((length, 1)), axis=0)
    return Series(f"walk_{seed}", _every_minute(length), x, None, ("value",), ("value",))


def make_concept(rng: np.random.Generator) -> Concept:
    """A random concept, scaled on features of its own."""
    recurrent = rng.standard_normal((STATE, STATE))
    recurrent *= RADIUS / np.abs(np.linalg.eigvals(recurrent)).max()
    raw = Concept(
        inputs=GAIN * rng.standard_normal((STATE, FEATURES)),
        recurrent=recurrent,
        readout=READ * rng.standard_normal(STATE) / np.sqrt(STATE),
        leak=rng.uniform(*LEAKS, STATE),
    )
    sample = raw.targets(make_features(rng, CALIBRATION))[100:]
    return Concept(raw.inputs, raw.recurrent, raw.readout, raw.leak, float(sample.mean()), float(sample.std()))


def make_features(rng: np.random.Generator, length: int) -> Floats:
    """`(n, features)` of variance 1, each row a little like the last."""
    noise = np.sqrt(1.0 - MEMORY**2) * rng.standard_normal((length, FEATURES))
    x: Floats = np.empty_like(noise)
    last = rng.standard_normal(FEATURES)
    for row in range(length):
        last = MEMORY * last + noise[row]
        x[row] = last
    return x


def _drifting(
    name: str, seed: int, order: Sequence[int], length: int, change: Change = "abrupt", over: int = 0
) -> Drifting:
    """Concepts in an `order`, `length` rows each; for `over` rows after each drift the old one still has its say."""
    rng = np.random.default_rng(seed)
    concepts = [make_concept(rng) for _ in range(max(order) + 1)]
    n = length * len(order)
    x = make_features(rng, n)
    newer, older = np.zeros(n), np.zeros(n)
    share = np.ones(n)  # of the newer concept
    for place, index in enumerate(order):
        start, stop = place * length, (place + 1) * length
        before = max(start - RUN_IN, 0)  # a concept remembers features that came before its time
        said = concepts[index].targets(x[before : stop + over])[start - before :]
        newer[start:stop] = said[:length]
        older[stop : stop + over] = said[length:]
        if place:
            share[start : start + over] = np.arange(1, over + 1) / over
    if change == "gradual":
        share = (rng.random(n) < share).astype(np.float64)
    y = share * newer + (1.0 - share) * older + NOISE * rng.standard_normal(n)
    series = Series(name, _every_minute(n), x, y[:, None], tuple(f"x{i}" for i in range(FEATURES)), ("y",))
    return Drifting(series, drifts=length * np.arange(1, len(order), dtype=np.int64))


def _every_minute(n: int) -> Floats:
    times: Floats = np.arange(n, dtype=np.float64) * 60.0
    return times


__all__ = [
    "Concept",
    "Drifting",
    "abrupt",
    "gradual",
    "incremental",
    "make_concept",
    "make_features",
    "recurring",
    "walk",
]
