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
from liquid_core.engine.linear_maps import LinearMaps
from liquid_core.engine.results import StepResults, Update
from liquid_core.learner import calendar, conformal, delay, experts, readout
from liquid_core.learner.adam import Adam, clip_by_norm
from liquid_core.learner.anomaly import Anomaly
from liquid_core.learner.clock import Clock
from liquid_core.learner.drift import detector_for
from liquid_core.learner.guard import safe_hidden, safe_outputs, safe_readout, safe_rest, safe_update
from liquid_core.learner.guess import Guess
from liquid_core.learner.history import History
from liquid_core.learner.metrics import Prequential
from liquid_core.learner.mix import MEDIAN, Mix
from liquid_core.learner.network import Network
from liquid_core.learner.part import pick, safe_divide
from liquid_core.learner.residual import Residual
from liquid_core.learner.scaler import MAX_SCALED, Scaler
from liquid_core.learner.season import PERIODS_BACK, Season
from liquid_core.learner.settle import Pending, Settled, settle_class, settle_values
from liquid_core.learner.surge import Surge
from liquid_core.learner.tbptt import Unrolled, learn_window
from liquid_core.learner.upset import KEPT, Distance, Upset, farthest, split
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
        #: Streams whose weights stand still: the network's, the experts' and those that their mix is made with. All
        #: that is measured goes on, from the scaler to the intervals.
        self._frozen: BoolArray = arrays["stream.frozen"]
        self._window: Window = self._part(Window, "window")
        self._length = self._window.seq.shape[1]
        self._maps = LinearMaps(spec, network, arrays, self._window)
        self._track = np.arange(spec.num_outputs) % spec.num_tracks

    def step(self, records: TileRecords) -> None:
        """Apply one record a stream; streams with neither sample nor label stay as they are."""
        spec = self._spec
        active = records.is_sample | records.has_label
        self._return_from_upset(records)
        if spec.task == "forecast":
            samples = self._arrays["stream.samples"] + 1  # the sample that is arriving
            truth = np.tile(records.x[:, spec.target_columns], (1, len(spec.horizons)))
            ages = np.repeat(np.asarray(spec.horizons), spec.num_targets)
            # An answer from before a feature's first value had nothing to go by: no target teaches from it.
            seen = np.tile(self._arrays["scaler.count"][:, spec.target_columns], (1, len(spec.horizons)))
            truth = np.where(seen >= ages, truth, np.nan)
            delays = np.broadcast_to(ages.astype(np.float64), (self._batch, spec.num_outputs))
            settled = self._settle(samples, ages, delays, truth, records.is_sample, records.seq)
            self._learn(settled, samples, delays)
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
                late = (self._arrays["stream.samples"] - anchor).astype(np.float64)
                delays = np.broadcast_to(1.0 + late[:, None], (self._batch, spec.num_outputs))
                settled = self._settle(anchor, ages, delays, truth, records.has_label, records.seq)
                self._learn(settled, anchor, delays)
                self._take_label(records, anchor)
        self._keep_outcome(records)
        self._arrays["stream.records"] += active

    def look_ahead(self, records: TileRecords) -> None:
        """Answer samples without learning from them; the rows are then the caller's to throw away."""
        self._advance(records)

    def _return_from_upset(self, records: TileRecords) -> None:
        """Where the stream is again as it was before an upset, so are its running scales."""
        arrays, upset = self._arrays, self._part(Upset, "upset")
        numbers = [arrays[name].reshape(self._batch, -1) for name in KEPT]
        sizes, now = [part.shape[1] for part in numbers], np.concatenate(numbers, axis=1)
        usual, current = split(upset.usual(now), sizes), split(now, sizes)

        def sample(scales: dict[str, FloatArray]) -> FloatArray:
            moments = scales["scaler.mean"], scales["scaler.variance"]
            return farthest(records.x, arrays["scaler.count"], *moments, records.is_sample)

        def label(scales: dict[str, FloatArray]) -> FloatArray:
            if self._spec.task != "regression":
                return np.full(self._batch, -1.0)
            moments = scales["history.mean"], scales["history.variance"]
            return farthest(records.y, arrays["history.count"], *moments, records.has_label)

        after, returns = upset.judge(
            Distance(sample(usual), sample(current)), Distance(label(usual), label(current)), now
        )
        self._put("upset", after, records.is_sample | records.has_label)
        if returns.any():
            for name, kept in split(upset.kept, sizes).items():
                arrays[name][returns] = kept.reshape(arrays[name].shape)[returns]

    # --- settle ------------------------------------------------------------------------------------------------------

    def _settle(
        self,
        anchor: IntArray,
        ages: IntArray,
        delays: FloatArray,
        truth: FloatArray,
        arrived: BoolArray,
        seq: IntArray,
    ) -> Settled:
        """Hold `truth` `(batch, targets or outputs)` against the answers given `ages` samples before `anchor`.

        `delays` `(batch, outputs)` is how many samples each waited for it.
        """
        spec, window = self._spec, self._window
        number = anchor[:, None] - ages  # (batch, outputs): the sample whose answer it was
        slot, lane, output = number % self._length, self._lanes[:, None], np.arange(spec.num_outputs)
        pending = Pending(
            base=window.base[lane, slot, self._track],
            scale=window.scale[lane, slot, output],
            prediction=window.prediction[lane, slot, output],
            half_width=window.half_width[lane, slot, output],
        )
        if spec.task == "classification":
            settled = settle_class(pending, truth[:, 0], arrived)
        else:
            known = arrived[:, None] & (number >= 1) & ~np.isnan(truth)
            settled = settle_values(pending, truth, known, max(1, len(spec.horizons)))
        # Two indices around a slice: numpy puts what they run over first, `(batch, outputs, experts)`.
        said = window.said[lane, slot, :, output].transpose(0, 2, 1)
        mixed = window.mixed[lane, slot, :, output].transpose(0, 2, 1)
        mix = self._part(Mix, "mix").update(settled.wanted, said, mixed, settled.scaled, np.maximum(ages, 1))
        self._put("mix", mix, ~self._frozen)
        self._maps.learn_autoregression(settled, slot, delays)
        self._said_linear = self._maps.learn_linear(settled, slot, delays)
        self._measure(settled, seq)
        self._score(settled, truth)
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
        detector = self._part(detector_for(learner.drift_spec), "drift")
        alarm, detector = detector.update(settled.surprise, watched, learner.drift_spec)
        self._put("drift", detector)
        surge = self._part(Surge, "surge").update(settled.surprise, settled.naive_surprise, watched)
        self._put("surge", surge)
        self._maps.doubt(alarm, surge.doubt(), watched)
        self._arrays["stream.drifts"] += alarm
        self._arrays["stream.last_drift_seq"][alarm] = seq[alarm]
        self._results.drift[...] = alarm
        self._results.surprise[...] = settled.surprise

    def _score(self, settled: Settled, truth: FloatArray) -> None:
        """How unusual the targets are that arrived, by the history before them."""
        history, tracks = self._part(History, "history"), self._spec.num_tracks
        values = self._tracks(truth) if self._spec.task == "classification" else truth[:, :tracks]
        # The shortest horizon knows a target if any does.
        known = settled.known[:, :tracks]
        score, anomaly = self._part(Anomaly, "anomaly").update(
            settled.distance, history.standing(values), known, history.count, self._spec.learner.scaler_rate
        )
        self._put("anomaly", anomaly)
        self._results.anomaly[...] = score

    # --- learn -------------------------------------------------------------------------------------------------------

    def _learn(self, settled: Settled, anchor: IntArray, delays: FloatArray) -> None:
        """One weight update for the streams that just got a target; `anchor` is the sample that it is newest at."""
        arrays, learner = self._arrays, self._spec.learner
        learns = settled.scaled.any(axis=1) & (arrays["stream.samples"] >= learner.warmup) & ~self._frozen
        if not learns.any():
            return
        weights, linear = arrays["network.weights"], arrays["readout.weights"]
        lesson = learn_window(
            self._network,
            self._tensor(weights),
            self._tensor(linear),
            self._unroll(anchor),
            self._tensor(self._said_linear),
            self._tensor(settled.target),
            torch.from_numpy(np.ascontiguousarray(settled.scaled)),
            self._network.importance,
            "class" if self._spec.task == "classification" else "residual",
        )
        clipped, norm = clip_by_norm(lesson.gradient.numpy(), learner.clip_norm)
        step, adam = self._part(Adam, "adam").update(clipped, learner, delay.typical(delays, settled.scaled))
        updated = self._network.constrain(torch.from_numpy(weights + step)).numpy()
        relinear, covariance = self._maps.relearned_readout(lesson, settled, delays)
        safe = safe_update(lesson.loss.numpy(), norm, updated) & safe_readout(relinear)
        applied, skipped = learns & safe, learns & ~safe
        horizons = settled.scaled.reshape(self._batch, covariance.shape[1], -1).any(axis=2) & applied[:, None]
        arrays["readout.covariance"][horizons] = covariance[horizons]
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
        shown, values, scaler = self._part(Scaler, "scaler").take(records.x, self._spec.learner.scaler_rate)
        waves = calendar.waves(records.t, clock.first_t, clock.gap)
        inputs = np.concatenate([shown, waves], axis=1)
        history = self._remember(records, number)
        base, scale = self._naive(values)
        past, season = self._look_back(clock, number, base, scale)
        view = history.view(number)
        linear = self._maps.linear(inputs, view, past)
        hidden, rest = self._forward(inputs, self._window.hidden[self._lanes, before], elapsed)
        liquid = linear + safe_rest(rest)
        if self._spec.task == "classification":
            linear, liquid = readout.softmax(linear) - base, readout.softmax(liquid) - base
        said = np.stack(
            [season, self._maps.autoregression(view, past, waves), safe_outputs(linear), safe_outputs(liquid)], axis=1
        )
        mixed = self._part(Mix, "mix").combine(said)
        prediction = self._prediction(mixed[:, 0], base, scale)
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
            "history": view,
            "past": past,
            "base": base,
            "scale": scale,
            "said": said,
            "mixed": mixed,
            "prediction": prediction,
            "half_width": half_width,
        }.items():
            arrays[f"window.{name}"][self._lanes[active], slot[active]] = new[active]
        if self._spec.task != "forecast":
            place = self._lanes[active], slot[active]
            self._window.labelled[place] = False
            self._window.guessed[place] = history.count[active, 0] > 0
            self._window.mean_guess[place] = history.mean[active]
            self._window.last_guess[place] = history.last[active]
        last_t = np.where(arrays["stream.seq"] == 0, records.t, np.maximum(records.t, arrays["stream.last_t"]))
        arrays["stream.last_t"][active] = last_t[active]
        arrays["stream.seq"][active] = records.seq[active]
        arrays["stream.samples"] += active
        self._results.prediction[active] = prediction[active]
        if self._spec.num_medians:
            self._results.median[active] = self._prediction(mixed[:, MEDIAN], base, scale)[active]
        self._results.half_width[active] = half_width[active]

    def _remember(self, records: TileRecords, number: IntArray) -> History:
        """The targets' history as it is known at this sample; a forecast's takes the sample in first."""
        spec, history, active = self._spec, self._part(History, "history"), records.is_sample
        season = self._part(Season, "season")
        if spec.task == "forecast":
            values = records.x[:, spec.target_columns]
            observed = active[:, None] & ~np.isnan(values)
            season.mend(history.newest, number - 1, history.last, values, history.rebound(values, observed))
            history = history.update(np.where(observed, values, 0.0), observed, number, spec.learner.scaler_rate)
            self._put("history", history)
            season.put(number, number, history.last, active)
            self._put("season", season.measure(number, number, history.deviation(), history.jumped(), active))
        else:
            season.put(number, number, history.last, active)  # until its label comes
        return history

    def _look_back(
        self, clock: Clock, number: IntArray, base: FloatArray, scale: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """How far the targets were from `base` at the same point of past periods and on average, in residual scales.

        Returns
        -------
        `(batch, horizons, tracks, PAST)`, and what the seasonal expert says, `(batch, outputs)`.
        """
        spec, season, history = self._spec, self._part(Season, "season"), self._part(History, "history")
        lag = season.lag(clock.gap, clock.last_t - clock.first_t)
        past = np.zeros((self._batch, max(1, len(spec.horizons)), spec.num_tracks, experts.PAST))
        expert = np.zeros((self._batch, spec.num_outputs))
        for at, ahead in enumerate(spec.horizons or (0,)):
            outputs = slice(at * spec.num_tracks, (at + 1) * spec.num_tracks)
            for place, periods in enumerate(PERIODS_BACK):
                then, known = season.back(number, ahead, lag, periods)
                apart = np.where(known[:, None], safe_divide(then - base, scale[:, outputs]), 0.0)
                past[:, at, :, place] = np.clip(apart, -MAX_SCALED, MAX_SCALED)
                if periods == 0:
                    expert[:, outputs] = safe_outputs(apart)
            means = safe_divide(history.slow - base[:, :, None], scale[:, outputs, None])
            past[:, at, :, len(PERIODS_BACK) :] = np.clip(means, -MAX_SCALED, MAX_SCALED)
        return past, expert

    def _forward(self, inputs: FloatArray, hidden: FloatArray, elapsed: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Hidden state after one step, `(batch, state)`, and what the readout adds to the linear expert's word,
        `(batch, outputs)`."""
        with torch.no_grad():
            parameters = self._network.parameters(self._tensor(self._arrays["network.weights"]))
            shown = self._tensor(inputs)
            output, hx = self._network.cell.step(
                parameters, shown, self._tensor(hidden), self._tensor(elapsed).unsqueeze(1)
            )
            linear = self._tensor(self._arrays["readout.weights"])
            outputs = readout.apply(linear, readout.features(output))
        return hx.numpy(), outputs.numpy().astype(np.float64)

    def _naive(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The naive guess `(batch, targets)` and the scale of the residuals to it `(batch, outputs)`."""
        spec = self._spec
        if spec.task == "forecast":
            return values[:, spec.target_columns], self._part(Residual, "residual").scale()
        labels = self._part(History, "history")
        if spec.task == "regression":
            guess = self._part(Guess, "guess").best(labels.mean, labels.last)
            return guess, self._part(Residual, "residual").scale()
        return labels.last.copy(), np.ones((self._batch, spec.num_outputs))

    def _prediction(self, mixed: FloatArray, base: FloatArray, scale: FloatArray) -> FloatArray:
        """Answers `(batch, outputs)`: values in the targets' units, or probabilities."""
        if self._spec.task == "classification":
            return readout.normalised(base + mixed)
        return base[:, self._track] + scale * mixed

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
        spec, active, window = self._spec, records.has_label, self._window
        slot = anchor % self._length
        place = self._lanes[active], slot[active]
        window.label[place] = records.y[active]
        window.labelled[place] = True
        tracks = self._tracks(records.y)
        history, observed = self._part(History, "history"), np.repeat(active[:, None], tracks.shape[1], 1)
        season, newest = self._part(Season, "season"), self._arrays["stream.samples"]
        season.mend(history.newest, newest, history.last, tracks, history.rebound(tracks, observed))
        guess = self._part(Guess, "guess").update(
            np.where(active[:, None], history.capped(tracks), 0.0),
            active[:, None],
            (window.mean_guess[self._lanes, slot], window.last_guess[self._lanes, slot]),
            window.guessed[self._lanes, slot][:, None],
            history.count,
        )
        self._put("guess", guess)
        history = history.update(tracks, observed, anchor, spec.learner.scaler_rate)
        self._put("history", history)
        season.put(anchor, newest, tracks, active)
        self._put("season", season.measure(anchor, newest, history.deviation(), history.jumped(), active))
        self._arrays["stream.labels"] += active

    def _tracks(self, y: FloatArray) -> FloatArray:
        """A label as values of the tracks, `(batch, tracks)`: itself, or one where its class stands."""
        if self._spec.task == "regression":
            return y
        return np.asarray(y == np.arange(self._spec.num_tracks), dtype=np.float64)

    def _keep_outcome(self, records: TileRecords) -> None:
        """Keep the answers to samples, for clients that ask again."""
        active, results = records.is_sample, self._results
        slot = (self._arrays["stream.samples"] % ANSWERS_KEPT)[active]
        for name, new in {
            "seq": records.seq,
            "fingerprint": records.fingerprint,
            "prediction": results.prediction,
            "median": results.median,
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
