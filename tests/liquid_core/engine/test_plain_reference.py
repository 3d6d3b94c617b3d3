"""The engine against the fold written out again: one stream, plain loops, float64, from the design's order of steps.

Nothing of the learner or the engine is used here but the cell: every formula stands here a second time, as plainly as
it can be said, with averages over lists where the engine keeps running ones.
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
from liquid_core.spec import AutoNCPSpec, CfCSpec, LearnerSpec, LTCSpec, PageHinkleySpec, WiredCfCSpec

NAN = float("nan")


class CappedSquares:
    """Root mean square of values, each counting at most ten times the scale before it."""

    def __init__(self) -> None:
        self.squares: list[float] = []

    def add(self, value: float) -> None:
        cap = 10 * self.scale() or math.inf
        self.squares.append(min(abs(value), cap) ** 2)

    def scale(self) -> float:
        return math.sqrt(sum(self.squares) / len(self.squares)) if self.squares else 0.0


class PlainStream:
    """One forecast stream. Histories are lists; the n-th sample is entry n, entry 0 stands for before the first."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec, self.learner = spec, spec.learner
        self.outputs = [(h, target) for h in spec.horizons for target in range(len(spec.targets))]
        self.cell: Cell = build_cell(spec, 3 * spec.num_features).double()
        self.masks = self.cell.parameter_masks()
        with torch.no_grad():
            for name, parameter in self.cell.named_parameters():
                parameter *= self.masks.get(name, 1)
        features = self.cell.output_size + 3 * spec.num_features + 1
        self.readout = torch.zeros(len(self.outputs), features, dtype=torch.float64)
        self.adam = {n: (torch.zeros_like(p), torch.zeros_like(p)) for n, p in self.cell.named_parameters()}
        self.updates = 0
        self.times: list[float] = []
        self.gap = 0.0
        self.seen: list[list[float]] = [[] for _ in spec.features]
        self.capped: list[list[float]] = [[] for _ in spec.features]
        self.changes = [CappedSquares() for _ in spec.features]
        self.residuals = [CappedSquares() for _ in self.outputs]
        self.pairs: list[list[tuple[float, float]]] = [[] for _ in self.outputs]
        self.radius = [2.0] * len(self.outputs)
        self.errors: list[list[tuple[float, float]]] = [[] for _ in spec.horizons]
        self.watched: list[float] = []
        self.inputs: list[Tensor] = [torch.empty(0)]
        self.elapsed = [NAN]
        self.hidden: list[Tensor] = [torch.zeros(1, self.cell.state_size, dtype=torch.float64)]
        self.answers: list[list[dict[str, float]]] = [[]]

    def step(self, t: float, x: list[float]) -> dict[str, Any]:
        """Settle, learn, advance, predict; the answer, and what became of earlier ones."""
        number = len(self.answers)
        settled = self.settle(number, x)
        alarm = self.watch(settled["surprise"])
        if number - 1 >= self.learner.warmup and settled["targets"]:
            self.learn(number, settled["targets"])
        answers = self.advance(t, x)
        self.answers.append(answers)
        return settled | {"drift": alarm, "answers": answers}

    # 2. settle

    def settle(self, number: int, x: list[float]) -> dict[str, Any]:
        targets: dict[int, float] = {}
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
                self.pairs[output].append((targets[output], past["output"]))
            self.residuals[output].add(residual)
            if past["half_width"]:
                missed = abs(error) > past["half_width"]
                self.radius[output] *= 1 + 0.05 * (missed - (1 - self.learner.coverage))
                worst = max(worst, abs(error) / past["half_width"])
            distance = min(abs(error) / past["scale"], 10.0) if past["scale"] else 0.0
            by_horizon.setdefault(horizon, []).append((abs(error), abs(residual), distance))
        for index, horizon in enumerate(self.spec.horizons):
            if horizon in by_horizon:
                error, naive, _ = np.mean(by_horizon[horizon], axis=0)
                self.errors[index].append((error, naive))
        surprise = float(np.mean([d for _, _, d in by_horizon[min(by_horizon)]])) if by_horizon else -1.0
        anomaly = (worst / 3) ** 2 / (1 + (worst / 3) ** 2) if worst >= 0 else -1.0
        return {"targets": targets, "surprise": surprise, "anomaly": anomaly}

    def watch(self, surprise: float) -> bool:
        """Page-Hinkley over all surprises since the last alarm, its sums made anew each time."""
        if surprise < 0:
            return False
        self.watched.append(surprise)
        drift, rise, fall = self.learner.drift, 0.0, 0.0
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
        return alarm

    # 3. learn

    def learn(self, number: int, targets: dict[int, float]) -> None:
        """One Adam step on the cell, from the loss over all samples behind the longest horizon, and the readout's."""
        first = number - max(self.spec.horizons) - self.learner.window + 1
        h = self.hidden[max(first - 1, 0)]
        outputs: dict[int, Tensor] = {}
        for n in range(max(first, 1), number):
            y, h = self.cell(self.inputs[n], h, self.elapsed[n])
            for output, (horizon, _) in enumerate(self.outputs):
                if horizon == number - n:
                    outputs[output] = torch.cat([y[0], self.inputs[n][0], torch.ones(1).double()])
        losses = [
            F.huber_loss(self.readout[o] @ outputs[o], torch.tensor(target, dtype=torch.float64), delta=3.0)
            for o, target in targets.items()
        ]
        names, parameters = zip(*self.cell.named_parameters(), strict=True)
        gradients = torch.autograd.grad(
            torch.stack(losses).mean(), parameters, allow_unused=True, materialize_grads=True
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
            for o, target in targets.items():
                features = outputs[o].detach()
                error = max(-3.0, min(3.0, target - float(self.readout[o] @ features)))
                self.readout[o] += self.learner.readout_rate * error / (1 + features @ features) * features

    # 1., 4. and 5.: impute and scale, advance, predict

    def advance(self, t: float, x: list[float]) -> list[dict[str, float]]:
        self.elapsed.append(self.tick(t))
        inputs, values = self.scale(x)
        self.inputs.append(torch.tensor([inputs], dtype=torch.float64))
        with torch.no_grad():
            y, h = self.cell(self.inputs[-1], self.hidden[-1], self.elapsed[-1])
        self.hidden.append(h)
        features = torch.cat([y[0], self.inputs[-1][0], torch.ones(1).double()])
        answers = []
        for output, (_, target) in enumerate(self.outputs):
            said = max(-20.0, min(20.0, float(self.readout[output] @ features)))
            base, scale = values[self.spec.target_columns[target]], self.residuals[output].scale()
            answers.append(
                {
                    "base": base,
                    "scale": scale,
                    "output": said,
                    "prediction": base + scale * self.share(output) * said,
                    "half_width": self.radius[output] * scale,
                }
            )
        return answers

    def share(self, output: int) -> float:
        pairs = np.clip(np.array(self.pairs[output]).reshape(-1, 2), -1.5, 1.5)
        power = (pairs[:, 1] ** 2).sum()
        if not power:
            return 0.0
        slope = pairs.prod(axis=1).sum() / power
        doubt = 8 * self.outputs[output][0]  # imagined targets, for each sample that the output looks ahead
        return float(max(0.0, min(1.0, slope * len(pairs) / (len(pairs) + doubt))))

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
        for seen, moments, changes, value in zip(self.seen, self.capped, self.changes, x, strict=True):
            last = seen[-1] if seen else 0.0
            change = 0.0
            if not math.isnan(value):
                change = value - last if seen else 0.0
                if seen:
                    changes.add(change)
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
    """Two features at irregular times, values missing (also the first ones of a feature), a jump, an outlier."""
    rng = np.random.default_rng(3)
    samples, t = [], 100.0
    for n in range(1, num_samples + 1):
        t += float(rng.choice([2.0, 2.0, 2.0, 0.7, 9.0, 50.0]))
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
    np.testing.assert_allclose(arrays["readout.weights"], plain.readout, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(arrays["window.hidden"][60 % arrays["window.hidden"].shape[0]], plain.hidden[60][0])
    assert (arrays["stream.updates"], arrays["stream.drifts"]) == (plain.updates, alarms)
    assert plain.updates > 40
    assert alarms > 0
    np.testing.assert_allclose(arrays["metrics.recent"], [np.mean(pairs, axis=0)[0] for pairs in plain.errors])
    np.testing.assert_allclose(arrays["metrics.total_naive"], [np.sum(pairs, axis=0)[1] for pairs in plain.errors])
