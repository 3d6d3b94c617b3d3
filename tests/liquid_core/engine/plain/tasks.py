"""What the three tasks make of a stream: where their targets come from, and what it means to be wrong."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from liquid_core import ModelSpec
from liquid_core.learner import conformal, readout
from liquid_core.types import FloatArray

from .parts import Guess, Track, softmax
from .stream import Answer, PlainStream
from .unusual import odds_distance

NOTHING: dict[str, Any] = {"surprise": -1.0, "anomaly": -1.0, "drift": False}


class ValueStream(PlainStream):
    """Targets that are values: in scales of their distance from the naive guess."""

    def scales(self, index: int) -> list[float]:
        first = index * len(self.tracks)
        return [self.residuals[first + track].scale() for track in range(len(self.tracks))]

    def spoken(self, words: FloatArray, bases: list[float]) -> FloatArray:  # noqa: ARG002
        return words

    def conclude(self, answers: list[Answer]) -> None:
        for radius, answer in zip(self.radius, answers, strict=True):
            answer["prediction"] = answer["base"] + answer["scale"] * answer["mixed"]
            answer["median"] = answer["base"] + answer["scale"] * answer["middle"]
            answer["half_width"] = radius * answer["scale"]

    def loss(self, said: dict[int, Tensor], targets: dict[int, float]) -> Tensor:
        wanted = torch.tensor(list(targets.values()), dtype=torch.float64)
        losses = F.huber_loss(torch.stack([said[output] for output in targets]), wanted, delta=3.0, reduction="none")
        # A far horizon's target counts for less.
        share = torch.tensor([1 / max(self.outputs[output][0], 1) for output in targets], dtype=torch.float64)
        return (losses * share).sum() / share.sum()

    def slopes(self, said: dict[int, float], targets: dict[int, float]) -> tuple[dict[int, float], float]:
        return {output: target - said[output] for output, target in targets.items()}, 1.0

    def settle(self, number: int, truths: dict[int, float]) -> dict[str, Any]:
        """Hold what came with sample `number`, or as its label, against the answers that waited for it."""
        targets: dict[int, float] = {}
        by_horizon: dict[int, list[tuple[float, ...]]] = {}
        worst = -1.0
        for output, truth in truths.items():
            past = self.past(number, output)
            residual, error = truth - past["base"], abs(truth - past["prediction"])
            if past["scale"]:
                targets[output] = max(-10.0, min(10.0, residual / past["scale"]))
                missed = error > past["half_width"]
                self.radius[output] *= 1 + conformal.STEP * (missed - (1 - self.learner.coverage))
                worst = max(worst, error / past["half_width"])
            self.residuals[output].add(residual)
            scaled = [min(size / past["scale"], 10.0) if past["scale"] else 0.0 for size in (error, abs(residual))]
            by_horizon.setdefault(output // len(self.tracks), []).append((error, abs(residual), *scaled))
        words = self.teach(number, targets, targets)
        for index, found in by_horizon.items():
            error, naive, *_ = np.mean(found, axis=0)
            self.errors[index].append((error, naive))
        nearest = np.mean(by_horizon[min(by_horizon)], axis=0).tolist() if by_horizon else [-1.0] * 4
        surprise, naive_surprise = nearest[2:]
        # The shortest horizon knows a target if any does.
        score = self.unusual.score(worst, {o: truth for o, truth in truths.items() if o < len(self.tracks)})
        alarm = self.watch(surprise, naive_surprise)
        if len(self.hidden) - 1 >= self.learner.warmup and targets:
            self.learn(number, targets, words)
        return {"surprise": surprise, "anomaly": score, "drift": alarm}


class PlainForecast(ValueStream):
    """The targets are features, later: each sample settles what was said of it, and is learned from, first."""

    def make_tracks(self) -> list[Track]:
        return [self.features[column] for column in self.spec.target_columns]

    def step(self, t: float, x: list[float]) -> dict[str, Any]:
        number, truths = len(self.answers), {}
        for output, (horizon, track) in enumerate(self.outputs):
            truth = x[self.spec.target_columns[track]]
            # Neither a missing target counts, nor an answer from before the stream, or the feature, had begun.
            had_a_guess = number - horizon >= 1 and len(self.tracks[track].seen) >= horizon
            if had_a_guess and not math.isnan(truth):
                truths[output] = truth
        return self.settle(number, truths) | {"answers": self.advance(t, x)}

    def take_in(self, x: list[float]) -> list[float]:
        number = len(self.answers)
        for place, (column, track) in enumerate(zip(self.spec.target_columns, self.tracks, strict=True)):
            if track.rebounds(x[column]):
                self.season.mend(self.newest, place, x[column])
        inputs = super().take_in(x)
        if any(not math.isnan(x[column]) for column in self.spec.target_columns):
            self.newest = number
        self.season.measure(number)
        return inputs

    def naive(self) -> list[float]:
        return [track.last for track in self.tracks]


class LabelStream(PlainStream):
    """Targets that come from outside: with their sample, which has then been answered already, or later."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.guesses = [Guess(track) for track in self.tracks]

    def make_tracks(self) -> list[Track]:
        return [Track() for _ in range(self.spec.num_tracks)]

    def step(self, t: float, x: list[float], y: list[float] | None) -> dict[str, Any]:
        answers = self.advance(t, x)
        return (NOTHING if y is None else self.label(len(self.answers) - 1, y)) | {"answers": answers}

    def label(self, number: int, y: list[float]) -> dict[str, Any]:
        """Settle and learn from the label of sample `number`, then take it in."""
        told = self.hold(number, y)
        values = self.values(y)
        for place, (track, value) in enumerate(zip(self.tracks, values, strict=True)):
            if track.rebounds(value):
                self.season.mend(self.newest, place, value)
            self.guesses[place].judge(value, self.answers[number][place]["guesses"])
            track.take(value)
        self.newest = number
        self.season.then[number] = values
        self.season.measure(number)
        return told

    def advance(self, t: float, x: list[float]) -> list[Answer]:
        guesses = [guess.both() if guess.labels.seen else None for guess in self.guesses]
        answers = super().advance(t, x)
        for answer, both in zip(answers, guesses, strict=True):
            answer["guesses"] = both
        return answers

    @abstractmethod
    def hold(self, number: int, y: list[float]) -> dict[str, Any]:
        """Hold a label against the answer that waited for it; what that says."""

    @abstractmethod
    def values(self, y: list[float]) -> list[float]:
        """A label as values of the tracks."""


class PlainRegression(LabelStream, ValueStream):
    """The guess is the mean label, or the last."""

    def hold(self, number: int, y: list[float]) -> dict[str, Any]:
        # An answer from before the first label had nothing to go by.
        truths = {o: value for o, value in enumerate(y) if self.answers[number][o]["guesses"]}
        return self.settle(number, truths)

    def values(self, y: list[float]) -> list[float]:
        return y

    def naive(self) -> list[float]:
        return [guess.best() for guess in self.guesses]


class PlainClassification(LabelStream):
    """Probabilities; the guess is the last class."""

    def values(self, y: list[float]) -> list[float]:
        return [float(y[0] == c) for c in range(len(self.tracks))]

    def naive(self) -> list[float]:
        return [guess.both()[1] for guess in self.guesses]

    def scales(self, index: int) -> list[float]:  # noqa: ARG002
        return [1.0] * len(self.tracks)

    def spoken(self, words: FloatArray, bases: list[float]) -> FloatArray:
        return np.asarray(softmax(words) - np.array(bases))

    def conclude(self, answers: list[Answer]) -> None:
        shares = np.clip([answer["base"] + answer["mixed"] for answer in answers], 0.0, 1.0)
        for answer, share in zip(answers, shares, strict=True):
            answer["prediction"] = share / shares.sum() if shares.sum() else 1 / len(shares)
            answer["half_width"] = 0.0

    def loss(self, said: dict[int, Tensor], targets: dict[int, float]) -> Tensor:
        logits = torch.stack(list(said.values()))
        return F.cross_entropy(logits, torch.tensor(list(targets.values()), dtype=torch.float64))

    def slopes(self, said: dict[int, float], targets: dict[int, float]) -> tuple[dict[int, float], float]:
        shares = softmax(np.array(list(said.values())))
        classes = len(shares)
        curvature = max(float((shares * (1 - shares)).max()) * classes / (classes - 1), readout.MIN_CURVATURE)
        return {c: target - shares[c] for c, target in targets.items()}, curvature

    def hold(self, number: int, y: list[float]) -> dict[str, Any]:
        answers, truth = self.answers[number], int(y[0])
        targets = dict(enumerate(self.values(y)))
        words = self.teach(number, targets, {c: targets[c] - answer["base"] for c, answer in enumerate(answers)})
        wrong, naive = (
            float(int(np.argmax([answer[said] for answer in answers])) != truth) for said in ("prediction", "base")
        )
        self.errors[0].append((wrong, naive))
        score = self.unusual.score(odds_distance(answers[truth]["prediction"], len(answers)), targets)
        alarm = self.watch(wrong, naive)
        if len(self.hidden) - 1 >= self.learner.warmup:
            self.learn(number, targets, words)
        return {"surprise": wrong, "anomaly": score, "drift": alarm}
