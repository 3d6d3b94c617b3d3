"""One step of a tile: a fixed number of streams side by side, at most one record each.

The way of a sample through the learner, in the order that DESIGN calls test-then-train:

* `settle`: the answers that waited for this target are held against it;
* `learn`: TBPTT over the window, Adam, guard;
* `advance`: scale the sample, move the hidden state, predict.

A forecast settles and learns from a sample before it advances over it. A label that came with its own sample must not
help to predict it, so regression and classification advance first.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from liquid_core.engine.anatomy import ANSWERS_KEPT
from liquid_core.engine.results import StepResults, Update
from liquid_core.learner import conformal, readout
from liquid_core.learner.adam import Adam, clip_by_norm
from liquid_core.learner.clock import Clock
from liquid_core.learner.drift import PageHinkley
from liquid_core.learner.guard import safe_hidden, safe_outputs, safe_readout, safe_update
from liquid_core.learner.guess import Guess
from liquid_core.learner.metrics import Prequential
from liquid_core.learner.network import Network
from liquid_core.learner.part import pick
from liquid_core.learner.residual import Residual
from liquid_core.learner.scaler import Scaler
from liquid_core.learner.settle import Pending, Settled, settle_class, settle_values
from liquid_core.learner.tbptt import Unrolled, learn_window
from liquid_core.learner.trust import Trust
from liquid_core.learner.window import Window, stretches_for
from liquid_core.spec import ModelSpec
from liquid_core.types import BoolArray, FloatArray, IntArray

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class TileRecords:
    """At most one record a stream, as arrays with one entry a stream."""

    is_sample: BoolArray
    has_label: BoolArray
    #: `seq` of the sample, or of the sample that the label names.
    seq: IntArray
    t: FloatArray
    #: `(batch, features)` and `(batch, targets)`; NaN where missing.
    x: FloatArray
    y: FloatArray
    fingerprint: IntArray


class Tile:
    """Steps the streams whose arrays it is given, in place.

    Parameters
    ----------
    spec, network
        The model that all these streams share the structure of.
    arrays
        Views of the streams' rows by name, each ``(batch, ...)``.
    results
        One entry a stream, filled in.
    """

    def __init__(
        self, spec: ModelSpec, network: Network, arrays: dict[str, NDArray[Any]], results: StepResults
    ) -> None:
        self._spec = spec
        self._network = network
        self._arrays = arrays
        self._results = results
        self._batch = arrays["stream.samples"].shape[0]
        self._lanes = np.arange(self._batch)
        self._window: Window = self._part(Window, "window")
        self._length = self._window.seq.shape[1]

    def step(self, records: TileRecords) -> None:
        """Apply one record a stream; streams with neither sample nor label stay as they are."""
        spec = self._spec
        active = records.is_sample | records.has_label
        if spec.task == "forecast":
            samples = self._arrays["stream.samples"] + 1  # the sample that is arriving
            truth = np.tile(records.x[:, spec.target_columns], (1, len(spec.horizons)))
            ages = np.repeat(np.asarray(spec.horizons), spec.num_targets)
            # An answer from before a feature's first value had nothing to go by: no target teaches from it.
            seen = np.tile(self._arrays["scaler.count"][:, spec.target_columns], (1, len(spec.horizons)))
            truth = np.where(seen >= ages, truth, np.nan)
            settled = self._settle(samples, ages, truth, records.is_sample, records.seq)
            self._learn(settled, samples)
            self._advance(records)
        else:
            if records.is_sample.any():
                self._advance(records)
            if records.has_label.any():
                anchor = self._sample_number(records.seq)
                ages = np.zeros(spec.num_outputs, dtype=np.int64)
                truth = np.broadcast_to(records.y, (self._batch, spec.num_targets))
                if spec.task == "regression":
                    # An answer from before the first label had nothing to go by, as above.
                    guessed = self._window.guessed[self._lanes, anchor % self._length]
                    truth = np.where(guessed[:, None], truth, np.nan)
                settled = self._settle(anchor, ages, truth, records.has_label, records.seq)
                self._learn(settled, anchor)
                self._take_label(records, anchor)
        self._keep_outcome(records)
        self._arrays["stream.records"] += active

    def look_ahead(self, records: TileRecords) -> None:
        """Answer samples without learning from them; the rows are then the caller's to throw away."""
        self._advance(records)

    # --- settle ------------------------------------------------------------------------------------------------------

    def _settle(
        self, anchor: IntArray, ages: IntArray, truth: FloatArray, arrived: BoolArray, seq: IntArray
    ) -> Settled:
        """Hold `truth` `(batch, targets or outputs)` against the answers given `ages` samples before `anchor`."""
        spec, window = self._spec, self._window
        number = anchor[:, None] - ages  # (batch, outputs): the sample whose answer it was
        slot, lane, output = number % self._length, self._lanes[:, None], np.arange(spec.num_outputs)
        target = output % spec.num_targets
        pending = Pending(
            base=window.base[lane, slot, target],
            scale=window.scale[lane, slot, output],
            prediction=window.prediction[lane, slot, output],
            half_width=window.half_width[lane, slot, output],
        )
        if spec.task == "classification":
            settled = settle_class(pending, truth[:, 0], arrived)
        else:
            known = arrived[:, None] & (number >= 1) & ~np.isnan(truth)
            settled = settle_values(pending, truth, known, max(1, len(spec.horizons)))
        trust = self._part(Trust, "trust").update(settled.target, window.output[lane, slot, output], settled.scaled)
        self._put("trust", trust)
        self._measure(settled, seq)
        return settled

    def _measure(self, settled: Settled, seq: IntArray) -> None:
        """Running scales, intervals, metrics and drift, after targets arrived."""
        learner = self._spec.learner
        residual = self._part(Residual, "residual")
        self._put("residual", residual.update(settled.residual, settled.known, learner.scaler_rate))
        self._arrays["conformal.radius"][...] = conformal.update(
            self._arrays["conformal.radius"], settled.missed, settled.scaled, learner.coverage
        )
        metrics = self._part(Prequential, "metrics")
        self._put("metrics", metrics.update(settled.error, settled.naive_error, settled.observed))
        watched = settled.surprise >= 0
        alarm, detector = self._part(PageHinkley, "drift").update(settled.surprise, watched, learner.drift)
        self._put("drift", detector)
        self._arrays["stream.drifts"] += alarm
        self._arrays["stream.last_drift_seq"][alarm] = seq[alarm]
        self._results.drift[...] = alarm
        self._results.surprise[...] = settled.surprise
        self._results.anomaly[...] = settled.anomaly

    # --- learn -------------------------------------------------------------------------------------------------------

    def _learn(self, settled: Settled, anchor: IntArray) -> None:
        """One weight update for the streams that just got a target; `anchor` is the sample that it is newest at."""
        arrays, learner = self._arrays, self._spec.learner
        learns = settled.scaled.any(axis=1) & (arrays["stream.samples"] >= learner.warmup)
        if not learns.any():
            return
        weights, linear = arrays["network.weights"], arrays["readout.weights"]
        lesson = learn_window(
            self._network,
            self._tensor(weights),
            self._tensor(linear),
            self._unroll(anchor),
            self._tensor(settled.target),
            torch.from_numpy(np.ascontiguousarray(settled.scaled)),
            "class" if self._spec.task == "classification" else "residual",
        )
        clipped, norm = clip_by_norm(lesson.gradient.numpy(), learner.clip_norm)
        step, adam = self._part(Adam, "adam").update(clipped, learner)
        updated = self._network.constrain(torch.from_numpy(weights + step)).numpy()
        relinear = readout.update(linear, lesson.features.numpy(), lesson.error.numpy(), learner.readout_rate)
        safe = safe_update(lesson.loss.numpy(), norm, updated) & safe_readout(relinear)
        applied, skipped = learns & safe, learns & ~safe
        weights[...] = pick(applied, updated, weights)
        linear[...] = pick(applied, relinear, linear)
        self._put("adam", adam, applied)
        arrays["stream.updates"] += applied
        arrays["stream.skipped"] += skipped
        self._results.update[applied] = Update.APPLIED
        self._results.update[skipped] = Update.SKIPPED

    def _unroll(self, anchor: IntArray) -> list[Unrolled]:
        """The stretches of samples behind `anchor` `(batch,)`, from the window."""
        window = self._window
        stretches: list[Unrolled] = []
        for stretch in stretches_for(self._spec):
            number = anchor[:, None] + np.arange(stretch.first, stretch.last + 1)  # (batch, time)
            before = (number[:, 0] - 1) % self._length
            slot, lane = number % self._length, self._lanes[:, None]
            stretches.append(
                Unrolled(
                    hidden=self._tensor(window.hidden[self._lanes, before]),
                    inputs=self._tensor(window.inputs[lane, slot]),
                    elapsed=self._tensor(window.elapsed[lane, slot]),
                    exists=torch.from_numpy(number >= 1),
                    anchors=tuple(-horizon - stretch.first for horizon in stretch.horizons),
                )
            )
        return stretches

    # --- advance -----------------------------------------------------------------------------------------------------

    def _advance(self, records: TileRecords) -> None:
        """Move over a sample and answer it, for the streams that got one."""
        arrays, active = self._arrays, records.is_sample
        number = arrays["stream.samples"] + 1
        slot, before = number % self._length, (number - 1) % self._length
        elapsed, clock = self._part(Clock, "clock").tick(records.t)
        inputs, values, scaler = self._part(Scaler, "scaler").take(records.x, self._spec.learner.scaler_rate)
        hidden, outputs = self._forward(inputs, self._window.hidden[self._lanes, before], elapsed)
        base, scale = self._naive(values)
        outputs = safe_outputs(outputs)
        prediction = self._prediction(outputs, base, scale)
        half_width = arrays["conformal.radius"] * (0.0 if self._spec.task == "classification" else scale)

        sound = safe_hidden(hidden)
        arrays["stream.hidden_resets"] += active & ~sound
        self._put("clock", clock, active)
        self._put("scaler", scaler, active)
        for name, new in {
            "seq": records.seq,
            "inputs": inputs,
            "elapsed": elapsed,
            "hidden": pick(sound, hidden, np.zeros_like(hidden)),
            "base": base,
            "scale": scale,
            "output": outputs,
            "prediction": prediction,
            "half_width": half_width,
        }.items():
            arrays[f"window.{name}"][self._lanes[active], slot[active]] = new[active]
        if self._spec.task != "forecast":
            guess, place = self._part(Guess, "guess"), (self._lanes[active], slot[active])
            self._window.labelled[place] = False
            self._window.guessed[place] = guess.count[active, 0] > 0
            self._window.mean_guess[place] = guess.mean[active]
            self._window.last_guess[place] = guess.last[active]
        arrays["stream.seq"][active] = records.seq[active]
        arrays["stream.samples"] += active
        self._results.prediction[active] = prediction[active]
        self._results.half_width[active] = half_width[active]

    def _forward(self, inputs: FloatArray, hidden: FloatArray, elapsed: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Hidden state after one step and the network's outputs, `(batch, state)` and `(batch, outputs)`."""
        with torch.no_grad():
            parameters = self._network.parameters(self._tensor(self._arrays["network.weights"]))
            shown = self._tensor(inputs)
            output, hx = self._network.cell.step(
                parameters, shown, self._tensor(hidden), self._tensor(elapsed).unsqueeze(1)
            )
            linear = self._tensor(self._arrays["readout.weights"])
            outputs = readout.apply(linear, readout.features(output, shown))
            if self._spec.task == "classification":
                outputs = torch.softmax(outputs.nan_to_num(0.0).clamp(-50.0, 50.0), dim=1)
        return hx.numpy(), outputs.numpy().astype(np.float64)

    def _naive(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The naive guess `(batch, targets)` and the scale of the residuals to it `(batch, outputs)`."""
        spec = self._spec
        if spec.task == "forecast":
            return values[:, spec.target_columns], self._part(Residual, "residual").scale()
        guess = self._part(Guess, "guess")
        if spec.task == "regression":
            return guess.best(), self._part(Residual, "residual").scale()
        return guess.last.copy(), np.ones((self._batch, spec.num_outputs))

    def _prediction(self, outputs: FloatArray, base: FloatArray, scale: FloatArray) -> FloatArray:
        """Answers `(batch, outputs)`: values in the targets' units, or probabilities."""
        if self._spec.task == "classification":
            return outputs
        lead = np.repeat(np.asarray(self._spec.horizons or (1,)), self._spec.num_targets)
        share = self._part(Trust, "trust").share(lead)
        return np.tile(base, (1, self._spec.num_outputs // base.shape[1])) + scale * share * outputs

    # --- labels and answers ------------------------------------------------------------------------------------------

    def _sample_number(self, seq: IntArray) -> IntArray:
        """Number of the sample that has `seq` `(batch,)`; 0 where it is not in the window."""
        found = self._window.seq == seq[:, None]
        slot = found.argmax(axis=1)
        newest = self._arrays["stream.samples"]
        number = newest - (newest - slot) % self._length
        return np.where(found.any(axis=1), number, 0)

    def _take_label(self, records: TileRecords, anchor: IntArray) -> None:
        """Keep the label, and what the next naive guess is made from."""
        active, window = records.has_label, self._window
        slot = anchor % self._length
        place = self._lanes[active], slot[active]
        window.label[place] = records.y[active]
        window.labelled[place] = True
        guess = self._part(Guess, "guess").update(
            np.where(active[:, None], records.y, 0.0),
            active[:, None],
            (window.mean_guess[self._lanes, slot], window.last_guess[self._lanes, slot]),
            window.guessed[self._lanes, slot][:, None],
            self._spec.learner.scaler_rate,
        )
        self._put("guess", guess)
        self._arrays["stream.labels"] += active

    def _keep_outcome(self, records: TileRecords) -> None:
        """Keep the answers to samples, for clients that ask again."""
        active, results = records.is_sample, self._results
        slot = (self._arrays["stream.samples"] % ANSWERS_KEPT)[active]
        for name, new in {
            "seq": records.seq,
            "fingerprint": records.fingerprint,
            "prediction": results.prediction,
            "half_width": results.half_width,
            "anomaly": results.anomaly,
            "drift": results.drift,
        }.items():
            self._arrays[f"answers.{name}"][self._lanes[active], slot] = new[active]

    # --- plumbing ----------------------------------------------------------------------------------------------------

    def _part(self, kind: type[Part], name: str) -> Part:
        """A part's state, its arrays looking into the rows."""
        arrays = {field.name: self._arrays[f"{name}.{field.name}"] for field in fields(kind)}  # type: ignore[arg-type]
        return kind(**arrays)

    def _put(self, name: str, part: Any, active: BoolArray | None = None) -> None:
        """Write a part's new state into the rows, of the `active` streams only where given."""
        for field in fields(part):
            view = self._arrays[f"{name}.{field.name}"]
            new = getattr(part, field.name)
            view[...] = new if active is None else pick(active, new, view)

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._network.dtype)


__all__ = ["Tile", "TileRecords"]
