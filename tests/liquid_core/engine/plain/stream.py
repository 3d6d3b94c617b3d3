"""The fold written out again: one stream, plain loops, float64, from the design's order of steps.

What every task has in common: clock, scaler, season, experts and their mix, the network and its lesson, drift. What a
task makes of its targets is in `tasks`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from liquid_core import Cell, ModelSpec, build_cell
from liquid_core.learner import conformal, mix, season
from liquid_core.learner.experts import CERTAINTY, LINEAR_PAST, PAST, linear_view
from liquid_core.spec import PageHinkleySpec
from liquid_core.types import FloatArray

from .parts import DAY, WEEK, CappedSquares, LeastSquares, Track, wave, within_five
from .season import PlainSeason
from .unusual import Unusual

NAN = float("nan")
#: What one output was answered with, by name.
Answer = dict[str, Any]


class PlainStream(ABC):
    """Histories are lists; the n-th sample is entry n, entry 0 stands for before the first."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec, self.learner = spec, spec.learner
        #: Without horizons a target belongs to the sample itself.
        self.horizons = spec.horizons or (0,)
        self.features = [Track() for _ in spec.features]
        self.tracks = self.make_tracks()
        self.outputs = [(horizon, track) for horizon in self.horizons for track in range(len(self.tracks))]
        self.cell: Cell = build_cell(spec, 3 * spec.num_features + 6).double()
        self.masks = self.cell.parameter_masks()
        with torch.no_grad():
            for name, parameter in self.cell.named_parameters():
                parameter *= self.masks.get(name, 1)
        width = 3 * spec.num_features + 6 + (len(linear_view(spec)) + len(LINEAR_PAST)) * len(self.tracks) + 1
        self.readouts = [LeastSquares(len(self.tracks), self.cell.output_size + 1) for _ in self.horizons]
        self.linear = [LeastSquares(len(self.tracks), width) for _ in self.horizons]
        self.autoregression = [LeastSquares(1, 12 + PAST) for _ in self.outputs]
        self.adam = {n: (torch.zeros_like(p), torch.zeros_like(p)) for n, p in self.cell.named_parameters()}
        self.updates = 0
        self.times: list[float] = []
        self.gap = 0.0
        #: The sample that the last known target belongs to.
        self.newest = 0
        self.season = PlainSeason(self.tracks, spec.learner.season_window)
        self.residuals = [CappedSquares() for _ in self.outputs]
        #: By output and memory, then those of the median and of the memories among each other.
        #: Of each output: the answer's two memories and its trust, then the median's.
        self.instants: list[list[list[FloatArray]]] = [[[] for _ in range(6)] for _ in self.outputs]
        self.shares = [[np.zeros(size) for size in (4, 4, 1, 4, 4, 1)] for _ in self.outputs]
        self.radius = [conformal.INITIAL_RADIUS] * len(self.outputs)
        self.unusual = Unusual(self.tracks, spec.learner.scaler_rate)
        self.errors: list[list[tuple[float, float]]] = [[] for _ in self.horizons]
        self.watched: list[float] = []
        self.surprises: list[tuple[float, float]] = []
        self.inputs: list[Tensor] = [torch.empty(0)]
        self.elapsed = [NAN]
        self.hidden: list[Tensor] = [torch.zeros(1, self.cell.state_size, dtype=torch.float64)]
        self.answers: list[list[Answer]] = [[]]

    # What a task has to say.

    @abstractmethod
    def make_tracks(self) -> list[Track]:
        """Its targets, or classes."""

    @abstractmethod
    def naive(self) -> list[float]:
        """The naive guess of each target."""

    @abstractmethod
    def scales(self, index: int) -> list[float]:
        """In which the experts speak of each target, at a horizon."""

    @abstractmethod
    def spoken(self, words: FloatArray, bases: list[float]) -> FloatArray:
        """What linear maps say, as the experts say it: how far from the naive guess."""

    @abstractmethod
    def conclude(self, answers: list[Answer]) -> None:
        """Add predictions and half-widths to the answers to a sample."""

    @abstractmethod
    def loss(self, said: dict[int, Tensor], targets: dict[int, float]) -> Tensor:
        """What the network is to make small."""

    @abstractmethod
    def slopes(self, said: dict[int, float], targets: dict[int, float]) -> tuple[dict[int, float], float]:
        """How far the targets are above what was said, and the curvature of the loss there."""

    # 2. settle

    def past(self, number: int, output: int) -> Answer:
        """The answer that waited for a target which came with sample `number`, or for its label."""
        return self.answers[number - self.outputs[output][0]][output]

    def delay(self, number: int, horizon: int) -> int:
        """How many samples an answer waited for a target that came with sample `number`, or is its label."""
        return horizon or len(self.answers) - number

    def teach(self, number: int, targets: dict[int, float], wanted: dict[int, float]) -> dict[int, float]:
        """Experts and their mix learn; what the linear one said before.

        `targets` are what linear maps should have said, `wanted` what experts should have.
        """
        words: dict[int, float] = {}
        for output, value in wanted.items():
            past = self.past(number, output)
            self.judge(output, value, past)
            expert, seen = self.autoregression[output], past["autoregression"]
            delay = self.delay(number, self.outputs[output][0])
            forgetting = 1 - (1 - self.learner.autoregression_forgetting) / delay
            expert.learn(seen, {0: value - expert.weights[0] @ seen}, forgetting, CERTAINTY / delay)
        for index, expert in enumerate(self.linear):
            first = index * len(self.tracks)
            known = {o: target for o, target in targets.items() if first <= o < first + len(self.tracks)}
            if known:
                seen = self.past(number, first)["linear"]
                here = {output: float(expert.weights[output - first] @ seen) for output in known}
                errors, curvature = self.slopes(here, known)
                by_row = {output - first: error for output, error in errors.items()}
                delay = self.delay(number, self.horizons[index])
                forgetting = 1 - (1 - self.learner.forgetting) / delay
                expert.learn(seen, by_row, forgetting, CERTAINTY / delay * self.credence(errors), curvature)
                words |= here
        return words

    def credence(self, errors: dict[int, float]) -> float:
        """Wide errors of the linear expert count by their size: of values, not of probabilities."""
        size = math.sqrt(np.mean(np.square(list(errors.values()))))
        return 1 / size if size > 1 and self.spec.task != "classification" else 1.0

    def judge(self, output: int, wanted: float, past: Answer) -> None:
        """How much each expert would have been better than the mix, and what share follows from all such times."""
        further = max(self.outputs[output][0], 1) - 1
        everyone = [0.0, *past["said"]]
        candidates = []
        for answer, words in (past["mixed"], past["words"]), (past["middle"], past["middle_words"]):
            candidates += [(word, everyone, fade) for word, fade in zip(words, mix.FADES, strict=True)]
            candidates += [(answer, words, mix.FADES[0])]
        for index, (answer, said, fade) in enumerate(candidates):
            squared = max(-mix.MAX_ERROR, min(mix.MAX_ERROR, answer - wanted))
            absolute = max(-1.0, min(1.0, (answer - wanted) / mix.NEAR))
            if index >= 3:
                slope = absolute
            elif self.spec.task != "classification":
                slope = squared + mix.ABSOLUTE * absolute
            else:
                slope = squared
            self.instants[output][index].append(slope * (answer - np.array(said)))
            instants = np.array(self.instants[output][index])
            fading = fade ** np.arange(len(instants) - 1, -1, -1)[:, None]
            regret, square = (fading * instants).sum(axis=0), (fading * instants**2).sum(axis=0)
            regret[0] += mix.HEAD_START + mix.HEAD_START_AHEAD * further
            weight = np.maximum(regret, 0.0) / (mix.FLOOR + mix.FLOOR_AHEAD * further + square)
            if weight.sum() > 0:
                self.shares[output][index] = weight[1:] / weight.sum()

    def watch(self, surprise: float, naive_surprise: float) -> bool:
        """Page-Hinkley over all surprises since the last alarm, its sums made anew each time."""
        if surprise < 0:
            return False
        self.watched.append(surprise)
        self.surprises.append((surprise, naive_surprise))
        doubt = self.doubt()
        drift, rise, fall = self.learner.drift_spec, 0.0, 0.0
        assert isinstance(drift, PageHinkleySpec)
        lowest, highest = math.inf, -1.0
        for n, value in enumerate(self.watched, start=1):
            deviation = value - sum(self.watched[:n]) / n
            rise = drift.alpha * rise + deviation - drift.delta
            fall = drift.alpha * fall + deviation + drift.delta
            lowest, highest = min(lowest, rise), max(highest, fall)
        up = rise - lowest > drift.threshold and drift.mode != "down"
        down = highest - fall > drift.threshold and drift.mode != "up"
        alarm = len(self.watched) >= drift.min_samples and (up or down)
        if alarm:
            self.watched = []
            doubt *= self.learner.drift_inflation
        for part in self.readouts:
            part.covariance *= doubt
            part.cap()
        return alarm

    def doubt(self) -> float:
        """What the surprises of late say of the readout: how much less it is to be trusted, from all of them anew."""
        recent, usual = np.zeros(2), np.zeros(2)
        for n, both in enumerate(self.surprises):
            squares = np.square(both) if n < 20 else np.minimum(np.square(both), 9 * usual)
            recent += max(1 / (n + 1), 0.07) * (squares - recent)
            usual += max(1 / (n + 1), 0.002) * (squares - usual)
        if len(self.surprises) < 50 or usual[0] == 0:
            return 1.0
        busier = max(recent[1] / usual[1], 1.0) if usual[1] else 1.0
        return float(min(1.0 + 0.4 * max(recent[0] / usual[0] / math.sqrt(busier) - 3.0, 0.0), 1.5))

    # 3. learn

    def learn(self, number: int, targets: dict[int, float], words: dict[int, float]) -> None:
        """One Adam step on the cell, from the loss over all samples behind the longest horizon, and one of the readout:
        they learn what the linear expert's words leave over."""
        first = number - max(self.horizons) - self.learner.window + 1
        h = self.hidden[max(first - 1, 0)]
        seen: dict[int, Tensor] = {}
        for n in range(max(first, 1), number - min(self.horizons) + 1):
            y, h = self.cell(self.inputs[n], h, self.elapsed[n])
            seen |= {number - n: torch.cat([y[0], torch.ones(1).double()])}
        readout = torch.from_numpy(np.concatenate([part.weights for part in self.readouts]))
        said = {o: words[o] + readout[o] @ seen[self.outputs[o][0]] for o in targets}
        names, parameters = zip(*self.cell.named_parameters(), strict=True)
        gradients = torch.autograd.grad(self.loss(said, targets), parameters, allow_unused=True, materialize_grads=True)
        masked = [g * self.masks.get(name, 1) for name, g in zip(names, gradients, strict=True)]
        norm = math.sqrt(sum(float((g * g).sum()) for g in masked))
        clip = min(1.0, self.learner.clip_norm / norm) if norm else 1.0
        self.updates += 1
        delays = [self.delay(number, self.outputs[output][0]) for output in targets]
        rate = 2 * self.learner.learning_rate / (1 + len(delays) / sum(1 / delay for delay in delays))
        with torch.no_grad():
            for name, parameter, gradient in zip(names, parameters, masked, strict=True):
                m, v = self.adam[name]
                m = self.learner.beta1 * m + (1 - self.learner.beta1) * clip * gradient
                v = self.learner.beta2 * v + (1 - self.learner.beta2) * (clip * gradient) ** 2
                self.adam[name] = m, v
                m_hat = m / (1 - self.learner.beta1**self.updates)
                v_hat = v / (1 - self.learner.beta2**self.updates)
                parameter -= rate * m_hat / (v_hat.sqrt() + self.learner.epsilon)
        errors, curvature = self.slopes({o: word.item() for o, word in said.items()}, targets)
        for index, (part, horizon) in enumerate(zip(self.readouts, self.horizons, strict=True)):
            first = index * len(self.tracks)
            by_row = {o - first: error for o, error in errors.items() if first <= o < first + len(self.tracks)}
            if by_row:
                features = seen[horizon].detach().numpy()
                delay = self.delay(number, horizon)
                forgetting = 1 - (1 - self.learner.forgetting) / delay
                part.learn(features, by_row, forgetting, 1 / delay, curvature)

    # 1., 4. and 5.: impute and scale, advance, predict

    def advance(self, t: float, x: list[float]) -> list[Answer]:
        number = len(self.answers)
        self.elapsed.append(self.tick(t))
        waves = self.waves(t)
        inputs = self.take_in(x) + waves
        bases = self.naive()
        views = [track.view(number - self.newest) for track in self.tracks]
        self.inputs.append(torch.tensor([inputs], dtype=torch.float64))
        with torch.no_grad():
            y, h = self.cell(self.inputs[-1], self.hidden[-1], self.elapsed[-1])
        self.hidden.append(h)
        features = np.append(y[0].numpy(), 1.0)
        answers: list[Answer] = []
        for index, horizon in enumerate(self.horizons):
            scales = self.scales(index)
            apart = self.apart(horizon, bases, scales)
            near = np.clip(apart, -5.0, 5.0)
            views_of_linear = [np.array(view)[[*linear_view(self.spec)]] for view in views]
            of_tracks = [[*view, *past[[*LINEAR_PAST]]] for view, past in zip(views_of_linear, near, strict=True)]
            linear = np.concatenate([inputs, *of_tracks, [1.0]])
            words = self.linear[index].weights @ linear
            from_linear = self.spoken(words, bases)
            from_liquid = self.spoken(words + self.readouts[index].weights @ features, bases)
            for track, (base, scale) in enumerate(zip(bases, scales, strict=True)):
                output = len(answers)
                autoregression = np.concatenate([[1.0], views[track], waves, near[track]])
                own = self.autoregression[output].weights[0] @ autoregression
                said = np.clip([apart[track, 0], own, from_linear[track], from_liquid[track]], -20.0, 20.0)
                mixed, middle = (self.mixed(said, *self.shares[output][at : at + 3]) for at in (0, 3))
                answers.append(
                    {
                        "base": base,
                        "scale": scale,
                        "said": said,
                        "mixed": mixed[0],
                        "words": mixed[1:],
                        "middle": middle[0],
                        "middle_words": middle[1:],
                        "autoregression": autoregression,
                        "linear": linear,
                    }
                )
        self.conclude(answers)
        self.answers.append(answers)
        return answers

    @staticmethod
    def mixed(said: FloatArray, long: FloatArray, short: FloatArray, trust: FloatArray) -> list[float]:
        """What a mix makes of what experts say, and what each of its memories would."""
        words = [float(long @ said), float(short @ said)]
        return [(1 - float(trust[0])) * words[0] + float(trust[0]) * words[1], *words]

    def apart(self, horizon: int, bases: list[float], scales: list[float]) -> FloatArray:
        """How far the targets were from the naive guess whole periods before and on average: `(tracks, PAST)`, in
        scales."""
        found = np.zeros((len(self.tracks), PAST))
        lag = self.season.lag(self.times, self.gap)
        for track, (base, scale) in enumerate(zip(bases, scales, strict=True)):
            for place, periods in enumerate(season.PERIODS_BACK):
                past = self.season.back(horizon, lag, periods, track)
                found[track, place] = (past - base) / scale if past is not None and scale else 0.0
            if scale:
                found[track, len(season.PERIODS_BACK) :] = (np.array(self.tracks[track].slow) - base) / scale
        return found

    def waves(self, t: float) -> list[float]:
        """Day, half day and week, once the stream has lasted them with four samples in each."""
        shown: list[float] = []
        for period, basis in ((DAY, DAY), (DAY / 2, DAY), (WEEK, WEEK)):
            supported = t - self.times[0] >= basis and 4 * self.gap <= basis
            shown += wave(t, period) if supported else (0.0, 0.0)
        return shown

    def tick(self, t: float) -> float:
        """Time since the last sample in typical gaps."""
        self.times.append(t)
        if len(self.times) == 1:
            return 1.0
        gap = t - self.times[-2]
        if not self.gap:
            self.gap = gap
            return 1.0
        elapsed, rate = min(gap / self.gap, 10.0), max(1 / (len(self.times) - 1), 0.01)
        if abs(gap - self.gap) <= rate * self.gap:
            self.gap = gap
        else:
            self.gap *= 1 + rate if gap > self.gap else 1 - rate
        return elapsed

    def take_in(self, x: list[float]) -> list[float]:
        """Levels, changes and missing flags. The season is told what is known of the targets by now."""
        levels, moves = [], []
        for feature, value in zip(self.features, x, strict=True):
            moved = bool(feature.seen) and not math.isnan(value)
            if not math.isnan(value):
                feature.take(value)
            levels.append(feature.level(smallest=1e-12))
            moves.append(feature.in_scales(feature.moves[-1]) if moved else 0.0)
        self.season.then.append([track.last for track in self.tracks])
        return within_five(levels + moves) + [float(math.isnan(value)) for value in x]
