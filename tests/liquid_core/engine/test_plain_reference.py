"""The engine against the fold written out again: one stream, plain loops, float64, from the design's order of steps.

Nothing of the learner or the engine is used here but the cell and the constants: every formula stands here a second
time, as plainly as it can be said, with averages over lists where the engine keeps running ones, and whole matrices
where it keeps triangles.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from liquid_core import Cell, ModelSpec, build_cell
from liquid_core.engine import Sample, Slab
from liquid_core.learner import anomaly, conformal, mix, rls, season
from liquid_core.learner.experts import LINEAR_PERIODS
from liquid_core.learner.history import HALF_AGE
from liquid_core.spec import AutoNCPSpec, CfCSpec, LearnerSpec, LTCSpec, PageHinkleySpec, WiredCfCSpec
from liquid_core.types import FloatArray

NAN = float("nan")
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

    def learn(self, features: FloatArray, errors: dict[int, float], forgetting: float) -> None:
        """Move the weights by the errors of the outputs that have one."""
        seen = self.covariance @ features
        gain = seen / (forgetting + features @ seen)
        self.covariance = (self.covariance - np.outer(gain, seen)) / forgetting
        self.cap()
        for output, error in errors.items():
            self.weights[output] += max(-rls.MAX_ERROR, min(rls.MAX_ERROR, error)) * gain

    def cap(self) -> None:
        """No variance grows beyond what it began with."""
        shrink = np.minimum(1.0, np.sqrt(rls.PRIOR / np.diagonal(self.covariance)))
        self.covariance = self.covariance * np.outer(shrink, shrink)


def share_of(square: float) -> float:
    """One half where the square is that of three units."""
    return square / (9 + square)


def wave(t: float, period: float) -> tuple[float, float]:
    """Bhaskara's sine and cosine of the point in the period."""

    def sine(turns: float) -> float:
        phase = turns % 1.0
        angle = 180 * (phase if phase < 0.5 else phase - 0.5) * 2
        size = 4 * angle * (180 - angle) / (40_500 - angle * (180 - angle))
        return size if phase < 0.5 else -size

    return sine(t / period), sine(t / period + 0.25)


class PlainStream:
    """One forecast stream. Histories are lists; the n-th sample is entry n, entry 0 stands for before the first."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec, self.learner = spec, spec.learner
        self.outputs = [(h, target) for h in spec.horizons for target in range(len(spec.targets))]
        self.tracks = len(spec.targets)
        self.cell: Cell = build_cell(spec, 3 * spec.num_features + 6).double()
        self.masks = self.cell.parameter_masks()
        with torch.no_grad():
            for name, parameter in self.cell.named_parameters():
                parameter *= self.masks.get(name, 1)
        width = 3 * spec.num_features + 6 + 4 * self.tracks + 1
        self.readouts = [LeastSquares(self.tracks, self.cell.output_size + 1) for _ in spec.horizons]
        self.linear = [LeastSquares(self.tracks, width) for _ in spec.horizons]
        self.autoregression = [LeastSquares(1, 16) for _ in self.outputs]
        self.adam = {n: (torch.zeros_like(p), torch.zeros_like(p)) for n, p in self.cell.named_parameters()}
        self.updates = 0
        self.times: list[float] = []
        self.gap = 0.0
        self.seen: list[list[float]] = [[] for _ in spec.features]
        self.capped: list[list[float]] = [[] for _ in spec.features]
        self.changes = [CappedSquares() for _ in spec.features]
        self.residuals = [CappedSquares() for _ in self.outputs]
        self.moves: list[list[float]] = [[] for _ in spec.features]
        self.newest = 0
        self.then: list[list[float]] = [[NAN] * self.tracks]
        self.distances: list[list[float]] = [[] for _ in range(spec.learner.season_window + 1)]
        self.period = 0
        self.instants: list[list[FloatArray]] = [[] for _ in self.outputs]
        self.shares = [np.zeros(len(mix.EXPERTS)) for _ in self.outputs]
        self.radius = [conformal.INITIAL_RADIUS] * len(self.outputs)
        self.views: list[tuple[float, float, float]] = []
        self.standings: list[list[float]] = [[] for _ in spec.targets]
        self.errors: list[list[tuple[float, float]]] = [[] for _ in spec.horizons]
        self.watched: list[float] = []
        self.surprises: list[float] = []
        self.inputs: list[Tensor] = [torch.empty(0)]
        self.elapsed = [NAN]
        self.hidden: list[Tensor] = [torch.zeros(1, self.cell.state_size, dtype=torch.float64)]
        self.answers: list[list[dict[str, Any]]] = [[]]

    def step(self, t: float, x: list[float]) -> dict[str, Any]:
        """Settle, learn, advance, predict; the answer, and what became of earlier ones."""
        number = len(self.answers)
        settled = self.settle(number, x)
        alarm = self.watch(settled["surprise"])
        if number - 1 >= self.learner.warmup and settled["targets"]:
            self.learn(number, settled["targets"], settled["words"])
        answers = self.advance(t, x)
        self.answers.append(answers)
        return settled | {"drift": alarm, "answers": answers}

    # 2. settle

    def settle(self, number: int, x: list[float]) -> dict[str, Any]:
        targets: dict[int, float] = {}
        words: dict[int, float] = {}
        by_horizon: dict[int, list[tuple[float, float, float]]] = {}
        worst = -1.0
        for output, (horizon, target) in enumerate(self.outputs):
            truth = x[self.spec.target_columns[target]]
            # Neither a missing target counts, nor an answer from before the stream, or the feature, had begun.
            if math.isnan(truth) or number - horizon < 1:
                continue
            if len(self.seen[self.spec.target_columns[target]]) < horizon:
                continue
            past = self.answers[number - horizon][output]
            residual, error = truth - past["base"], truth - past["prediction"]
            if past["scale"]:
                targets[output] = max(-10.0, min(10.0, residual / past["scale"]))
                self.judge(output, targets[output], past)
                expert, seen = self.autoregression[output], past["autoregression"]
                expert.learn(
                    seen, {0: targets[output] - expert.weights[0] @ seen}, self.learner.autoregression_forgetting
                )
            self.residuals[output].add(residual)
            if past["half_width"]:
                missed = abs(error) > past["half_width"]
                self.radius[output] *= 1 + conformal.STEP * (missed - (1 - self.learner.coverage))
                worst = max(worst, abs(error) / past["half_width"])
            distance = min(abs(error) / past["scale"], 10.0) if past["scale"] else 0.0
            by_horizon.setdefault(horizon, []).append((abs(error), abs(residual), distance))
        for index, horizon in enumerate(self.spec.horizons):
            first = index * self.tracks
            known = [output for output in range(first, first + self.tracks) if output in targets]
            if known:
                expert, seen = self.linear[index], self.answers[number - horizon][first]["linear"]
                words |= {output: float(expert.weights[output - first] @ seen) for output in known}
                errors = {output - first: targets[output] - words[output] for output in known}
                expert.learn(seen, errors, self.learner.forgetting)
            if horizon in by_horizon:
                error, naive, _ = np.mean(by_horizon[horizon], axis=0)
                self.errors[index].append((error, naive))
        surprise = float(np.mean([d for _, _, d in by_horizon[min(by_horizon)]])) if by_horizon else -1.0
        score = self.score(number, x, worst)
        return {"targets": targets, "words": words, "surprise": surprise, "anomaly": score}

    def score(self, number: int, x: list[float], worst: float) -> float:
        """How far the worst target lies out, how much worse it has been lately, how far off the level: each by its own
        root mean square, to which ten targets of one unit belong."""
        farthest = 0.0
        for standings, column in zip(self.standings, self.spec.target_columns, strict=True):
            seen, moments = self.seen[column], self.capped[column]
            # As for every target, it counts from the second value of the feature on.
            if math.isnan(x[column]) or number < 2 or not seen:
                continue
            deviation = float(np.std(moments))
            standing = (x[column] - float(np.mean(moments))) / deviation if deviation else 0.0
            # The stream is shorter than what lately means: all values count alike, the first one as zero.
            standings.append(max(-anomaly.MAX_STANDING, min(anomaly.MAX_STANDING, standing)))
            farthest = max(farthest, abs(sum(standings)) / (len(standings) + 1))
        if worst < 0:
            return -1.0
        squares = self.usual_squares()
        # Nor is there more surprise lately than usual, while both are the same mean.
        self.views.append((worst, 0.0, farthest))
        return max(share_of(v**2 / max(s, f)) for v, s, f in zip(self.views[-1], squares, anomaly.FLOOR, strict=True))

    def usual_squares(self) -> list[float]:
        """Mean squares of the three, none of which counts further than ten times its root mean square before it."""
        means = [1.0] * len(anomaly.FLOOR)
        for count, views in enumerate(self.views, start=anomaly.PRIOR + 1):
            means = [mean + (min(view**2, 100 * mean) - mean) / count for mean, view in zip(means, views, strict=True)]
        return means

    def judge(self, output: int, target: float, past: dict[str, Any]) -> None:
        """How much each expert would have been better than the mix, and what share follows from all such times."""
        slope = max(-mix.MAX_ERROR, min(mix.MAX_ERROR, past["mixed"] - target))
        self.instants[output].append(slope * (past["mixed"] - np.array([0.0, *past["said"]])))
        instants = np.array(self.instants[output])
        fading = mix.FADE ** np.arange(len(instants) - 1, -1, -1)[:, None]
        regret, square = (fading * instants).sum(axis=0), (fading * instants**2).sum(axis=0)
        regret[0] += mix.HEAD_START
        weight = np.maximum(regret, 0.0) / (mix.FLOOR + square)
        if weight.sum() > 0:
            self.shares[output] = weight[1:] / weight.sum()

    def watch(self, surprise: float) -> bool:
        """Page-Hinkley over all surprises since the last alarm, its sums made anew each time."""
        if surprise < 0:
            return False
        self.watched.append(surprise)
        self.surprises.append(surprise)
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
        recent = usual = 0.0
        for n, surprise in enumerate(self.surprises):
            square = surprise**2 if n < 20 else min(surprise**2, 9 * usual)
            recent += max(1 / (n + 1), 0.07) * (square - recent)
            usual += max(1 / (n + 1), 0.002) * (square - usual)
        return 1.0 if len(self.surprises) < 50 or usual == 0 else 1.0 + 0.1 * max(recent / usual - 3.0, 0.0)

    # 3. learn

    def learn(self, number: int, targets: dict[int, float], words: dict[int, float]) -> None:
        """One Adam step on the cell, from the loss over all samples behind the longest horizon, and one of the readout:
        they learn what the linear expert's words leave over."""
        first = number - max(self.spec.horizons) - self.learner.window + 1
        h = self.hidden[max(first - 1, 0)]
        outputs: dict[int, Tensor] = {}
        for n in range(max(first, 1), number):
            y, h = self.cell(self.inputs[n], h, self.elapsed[n])
            for output, (horizon, _) in enumerate(self.outputs):
                if horizon == number - n:
                    outputs[output] = torch.cat([y[0], torch.ones(1).double()])
        readout = torch.from_numpy(np.concatenate([part.weights for part in self.readouts]))
        said = {o: words[o] + readout[o] @ outputs[o] for o in targets}
        share = {o: 1 / self.outputs[o][0] for o in targets}  # a far horizon's target counts for less
        losses = [
            F.huber_loss(said[o], torch.tensor(target, dtype=torch.float64), delta=3.0) * share[o] / sum(share.values())
            for o, target in targets.items()
        ]
        names, parameters = zip(*self.cell.named_parameters(), strict=True)
        gradients = torch.autograd.grad(
            torch.stack(losses).sum(), parameters, allow_unused=True, materialize_grads=True
        )
        masked = [g * self.masks.get(name, 1) for name, g in zip(names, gradients, strict=True)]
        norm = math.sqrt(sum(float((g * g).sum()) for g in masked))
        clip = min(1.0, self.learner.clip_norm / norm) if norm else 1.0
        self.updates += 1
        with torch.no_grad():
            for name, parameter, gradient in zip(names, parameters, masked, strict=True):
                m, v = self.adam[name]
                m = self.learner.beta1 * m + (1 - self.learner.beta1) * clip * gradient
                v = self.learner.beta2 * v + (1 - self.learner.beta2) * (clip * gradient) ** 2
                self.adam[name] = m, v
                m_hat = m / (1 - self.learner.beta1**self.updates)
                v_hat = v / (1 - self.learner.beta2**self.updates)
                parameter -= self.learner.learning_rate * m_hat / (v_hat.sqrt() + self.learner.epsilon)
            for index, part in enumerate(self.readouts):
                first = index * self.tracks
                known = [o for o in range(first, first + self.tracks) if o in targets]
                errors = {o - first: targets[o] - float(said[o]) for o in known}
                if errors:
                    seen = outputs[first + min(errors)].detach().numpy()
                    part.learn(seen, errors, self.learner.forgetting)

    # 1., 4. and 5.: impute and scale, advance, predict

    def advance(self, t: float, x: list[float]) -> list[dict[str, Any]]:
        number = len(self.answers)
        self.elapsed.append(self.tick(t))
        inputs, values = self.scale(x)
        waves = self.waves(t)
        inputs += waves
        targets = [self.spec.target_columns[track] for track in range(self.tracks)]
        if any(not math.isnan(x[column]) for column in targets):
            self.newest = number
        self.then.append([values[column] for column in targets])
        self.measure(number)
        views = [self.view(number, column) for column in targets]
        self.inputs.append(torch.tensor([inputs], dtype=torch.float64))
        with torch.no_grad():
            y, h = self.cell(self.inputs[-1], self.hidden[-1], self.elapsed[-1])
        self.hidden.append(h)
        features = np.append(y[0].numpy(), 1.0)
        answers: list[dict[str, Any]] = []
        for index, horizon in enumerate(self.spec.horizons):
            first = index * self.tracks
            scales = [self.residuals[first + track].scale() for track in range(self.tracks)]
            bases = [values[column] for column in targets]
            apart = [
                [self.apart(number, horizon, back, track, bases[track], scales[track]) for back in season.PERIODS_BACK]
                for track in range(self.tracks)
            ]
            near = np.clip(apart, -5.0, 5.0)
            of_tracks = [[*views[track][2:4], *near[track, LINEAR_PERIODS]] for track in range(self.tracks)]
            linear = np.concatenate([inputs, *of_tracks, [1.0]])
            for track in range(self.tracks):
                output = first + track
                autoregression = np.concatenate([[1.0], views[track], waves, near[track]])
                word = float(self.linear[index].weights[track] @ linear)
                said = np.clip(
                    [
                        apart[track][0],
                        self.autoregression[output].weights[0] @ autoregression,
                        word,
                        word + self.readouts[index].weights[track] @ features,
                    ],
                    -20.0,
                    20.0,
                )
                mixed = float(self.shares[output] @ said)
                answers.append(
                    {
                        "base": bases[track],
                        "scale": scales[track],
                        "said": said,
                        "mixed": mixed,
                        "autoregression": autoregression,
                        "linear": linear,
                        "prediction": bases[track] + scales[track] * mixed,
                        "half_width": self.radius[output] * scales[track],
                    }
                )
        return answers

    def waves(self, t: float) -> list[float]:
        """Day, half day and week, once the stream has lasted them with four samples in each."""
        shown: list[float] = []
        for period, basis in ((DAY, DAY), (DAY / 2, DAY), (WEEK, WEEK)):
            supported = t - self.times[0] >= basis and 4 * self.gap <= basis
            shown += wave(t, period) if supported else (0.0, 0.0)
        return shown

    def view(self, number: int, column: int) -> list[float]:
        """Level, the last three movements, newest first, and age."""
        seen, moments, scale = self.seen[column], self.capped[column], self.changes[column].scale()
        deviation = float(np.std(moments)) if seen else 0.0
        level = (seen[-1] - float(np.mean(moments))) / deviation if deviation > 0 else 0.0
        moves = [*reversed(self.moves[column]), 0.0, 0.0, 0.0][:3]
        shown = [level, *(move / scale if scale else 0.0 for move in moves)]
        age = number - self.newest
        return [max(-5.0, min(5.0, value)) for value in shown] + [age / (age + HALF_AGE)]

    def measure(self, number: int) -> None:
        """Distances of the newest values to those before, and now and then the lag at which they are smallest."""
        deviations = [np.std(self.capped[c]) if self.capped[c] else 0.0 for c in self.spec.target_columns]
        for lag in range(1, min(number, self.learner.season_window + 1)):
            square = 0.0
            for track, deviation in enumerate(deviations):
                apart = self.then[number][track] - self.then[number - lag][track]
                square += min((apart / deviation) ** 2, season.MAX_DISTANCE) if deviation else 0.0
            self.distances[lag].append(square)
        if number % season.INTERVAL == 0:
            mean = {lag: float(np.mean(squares)) for lag, squares in enumerate(self.distances) if squares}
            good = [
                lag
                for lag in range(2, min(self.learner.season_window, number // 2 + 1))
                if mean[lag] <= min(mean[lag - 1], mean[lag + 1])
                and mean[lag] < season.DEPTH * max(mean[shorter] for shorter in range(1, lag))
            ]
            best = min((mean[lag] for lag in good), default=0.0)
            self.period = min((lag for lag in good if mean[lag] <= season.MARGIN * best + season.NEGLIGIBLE), default=0)

    def lag(self) -> int:
        """Samples in a day, unless the stream has lasted none or clearly has another period."""
        day = math.floor(DAY / self.gap + 0.5) if self.gap else 0
        if self.times[-1] - self.times[0] < DAY or not 2 <= day <= self.learner.season_window:
            return self.period
        if not self.period or not self.distances[day]:
            return day
        clearly = np.mean(self.distances[self.period]) < season.PREFERENCE * np.mean(self.distances[day])
        return self.period if clearly else day

    def apart(self, number: int, horizon: int, back: int, track: int, base: float, scale: float) -> float:
        """How far the target was from `base` whole periods before it, so many before the last that is known."""
        lag = self.lag()
        if not lag or not scale:
            return 0.0
        at = number + horizon - lag
        while at > number:
            at -= lag
        at -= back * lag
        return (self.then[at][track] - base) / scale if at >= max(1, number - self.learner.season_window) else 0.0

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

    def scale(self, x: list[float]) -> tuple[list[float], list[float]]:
        """Levels, changes and missing flags; and the values with the missing ones filled in."""
        levels, moves, values = [], [], []
        for seen, moments, changes, past_moves, value in zip(
            self.seen, self.capped, self.changes, self.moves, x, strict=True
        ):
            last = seen[-1] if seen else 0.0
            change = 0.0
            if not math.isnan(value):
                change = value - last if seen else 0.0
                if seen:
                    changes.add(change)
                    past_moves.append(change)
                counted = value
                if len(seen) >= 10 and np.std(moments) > 0:
                    reach = 10 * float(np.std(moments))
                    counted = max(np.mean(moments) - reach, min(np.mean(moments) + reach, value))
                moments.append(counted)
                seen.append(value)
                last = value
            deviation = float(np.std(moments)) if seen else 0.0
            levels.append((last - float(np.mean(moments))) / deviation if deviation > 1e-12 else 0.0)
            moves.append(change / changes.scale() if changes.scale() else 0.0)
            values.append(last)
        shown = [max(-5.0, min(5.0, value)) for value in levels + moves]
        return shown + [float(math.isnan(value)) for value in x], values


LEARNER = LearnerSpec(
    window=4,
    warmup=3,
    learning_rate=0.01,
    clip_norm=0.05,
    coverage=0.8,
    season_window=16,
    drift=PageHinkleySpec(min_samples=6, threshold=1.0, delta=0.05, mode="both"),
)
NCP = AutoNCPSpec(units=7, outputs=2)
CELLS: dict[str, dict[str, Any]] = {
    "cfc": {"cell": CfCSpec(units=5, backbone_units=6)},
    "cfc-mixed-pure": {"cell": CfCSpec(units=4, backbone_units=5, mode="pure", mixed_memory=True)},
    "wired_cfc": {"cell": WiredCfCSpec(), "wiring": NCP},
    "ltc": {"cell": LTCSpec(ode_unfolds=3), "wiring": NCP},
}


def series(num_samples: int) -> list[Sample]:
    """Two features every two hours or so, values missing (also the first ones of a feature), a jump, an outlier."""
    rng = np.random.default_rng(3)
    samples, t = [], 100.0
    for n in range(1, num_samples + 1):
        t += 3600.0 * float(rng.choice([2.0, 2.0, 2.0, 0.7, 9.0, 50.0]))
        level = 20.0 if n > num_samples // 2 else 5.0
        x = [level + math.sin(n / 2) + 0.1 * rng.normal(), 1e-3 * math.cos(n / 3)]
        if n <= 4:
            x[1] = NAN
        if rng.random() < 0.15:
            x[int(rng.integers(2))] = NAN
        if n == num_samples - 6:
            x[0] = 1e6
        samples.append(Sample(seq=n, t=t, x=tuple(x)))
    return samples


@pytest.mark.parametrize("cell", list(CELLS))
def test_the_engine_is_the_fold_written_out(make_engine: Any, cell: str) -> None:
    """Step by step the same answers, intervals, scores and alarms, and in the end the same weights."""
    spec = ModelSpec(task="forecast", features=("a", "b"), horizon=(1, 3), learner=LEARNER, **CELLS[cell])
    engine, plain = make_engine(spec, np.float64), PlainStream(spec)
    slab = Slab(engine.layout)
    slot = slab.load(engine.initial_row())
    alarms = 0
    for sample in series(60):
        found = engine.step(slab, [slot], [sample])
        expected = plain.step(sample.t, list(sample.x))
        for name in ("prediction", "half_width"):
            wanted = [answer[name] for answer in expected["answers"]]
            np.testing.assert_allclose(getattr(found, name)[0], wanted, rtol=1e-9, err_msg=f"{name} {sample.seq}")
        np.testing.assert_allclose(found.anomaly[0], expected["anomaly"], rtol=1e-9)
        np.testing.assert_allclose(found.surprise[0], expected["surprise"], rtol=1e-9)
        assert found.drift[0] == expected["drift"]
        alarms += int(found.drift[0])

    arrays = {name: view[0] for name, view in engine.layout.views(slab.read(slot)[None]).items()}
    weights = engine.network.packing.pack({name: p.detach() for name, p in plain.cell.named_parameters()})
    np.testing.assert_allclose(arrays["network.weights"], weights, rtol=1e-9, atol=1e-11)
    maps = {"readout": plain.readouts, "linear": plain.linear, "autoregression": plain.autoregression}
    for name, parts in maps.items():
        expected_weights = np.concatenate([part.weights for part in parts])
        np.testing.assert_allclose(arrays[f"{name}.weights"], expected_weights, rtol=1e-7, atol=1e-9, err_msg=name)
        triangles = [part.covariance[np.triu_indices(len(part.covariance))] for part in parts]
        np.testing.assert_allclose(arrays[f"{name}.covariance"], triangles, rtol=1e-7, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(arrays["mix.share"], np.transpose(plain.shares), rtol=1e-7, atol=1e-9)
    assert arrays["season.period"] == plain.period
    np.testing.assert_allclose(arrays["window.hidden"][60 % arrays["window.hidden"].shape[0]], plain.hidden[60][0])
    assert (arrays["stream.updates"], arrays["stream.drifts"]) == (plain.updates, alarms)
    assert plain.updates > 40
    assert plain.lag() > 0
    assert plain.waves(plain.times[-1])[-1] != 0
    assert alarms > 0
    np.testing.assert_allclose(arrays["metrics.recent"], [np.mean(pairs, axis=0)[0] for pairs in plain.errors])
    np.testing.assert_allclose(arrays["metrics.total_naive"], [np.sum(pairs, axis=0)[1] for pairs in plain.errors])
