"""The linear maps of a tile: the autoregressive and the linear expert, and the readout of the network.

They say what they say by a product with weights, and learn from every target by recursive least squares, each target
counting as much as it tells; where a map is too wide for that, by LMS.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_core.learner import calendar, delay, experts, readout, rls
from liquid_core.learner.guard import safe_expert, safe_outputs
from liquid_core.learner.network import Network
from liquid_core.learner.settle import Settled
from liquid_core.learner.tbptt import Lesson
from liquid_core.learner.window import Window
from liquid_core.spec import ModelSpec
from liquid_core.types import BoolArray, FloatArray, IntArray


class LinearMaps:
    """The maps of the streams whose arrays it is given, changed in place.

    Parameters
    ----------
    spec, network, arrays
        As of the tile.
    window
        Its view of the streams' windows: what the maps said, they said from there.
    """

    def __init__(self, spec: ModelSpec, network: Network, arrays: dict[str, NDArray[Any]], window: Window) -> None:
        self._spec = spec
        self._network = network
        self._arrays = arrays
        self._window = window
        self._batch = arrays["stream.samples"].shape[0]
        self._lanes = np.arange(self._batch)
        self._frozen: BoolArray = arrays["stream.frozen"]
        self._horizon = np.arange(spec.num_outputs) // spec.num_tracks
        self._track = np.arange(spec.num_outputs) % spec.num_tracks

    # --- what they say -----------------------------------------------------------------------------------------------

    def autoregression(self, view: FloatArray, past: FloatArray, waves: FloatArray) -> FloatArray:
        """What the autoregressive expert says, `(batch, outputs)`."""
        real = self._window.history.dtype  # it learns from what the window keeps, so it sees the same now
        seen = experts.autoregression_features(
            view[:, self._track].astype(real),
            past[:, self._horizon, self._track].astype(real),
            np.broadcast_to(waves[:, None], (self._batch, self._spec.num_outputs, waves.shape[1])).astype(real),
        )
        return safe_outputs((self._arrays["autoregression.weights"] * seen).sum(axis=2))

    def linear(self, inputs: FloatArray, view: FloatArray, past: FloatArray) -> FloatArray:
        """What the linear expert says, `(batch, outputs)`; of classes, logits."""
        real, horizons = self._window.history.dtype, past.shape[1]
        seen = experts.linear_features(
            self._spec,
            np.repeat(inputs[:, None], horizons, axis=1).astype(real),
            np.repeat(view[:, None], horizons, axis=1).astype(real),
            past.astype(real),
        )
        return np.asarray((self._arrays["linear.weights"] * np.repeat(seen, self._spec.num_tracks, axis=1)).sum(axis=2))

    # --- what they learn ---------------------------------------------------------------------------------------------

    def learn_autoregression(self, settled: Settled, slot: IntArray, delays: FloatArray) -> None:
        """Recursive least squares, for the outputs whose sample lies in `slot` `(batch, outputs)`."""
        arrays, window, lane = self._arrays, self._window, self._lanes[:, None]
        seen = experts.autoregression_features(
            window.history[lane, slot, self._track],
            window.past[lane, slot, self._horizon, self._track],
            window.inputs[lane, slot, -calendar.WAVES :],
        )
        weights, covariance = arrays["autoregression.weights"], arrays["autoregression.covariance"]
        forgetting = delay.forgetting(self._spec.learner.autoregression_forgetting, delays)
        gain, after = rls.gain(covariance, seen, forgetting, experts.CERTAINTY / delays)
        error = settled.wanted - (weights * seen).sum(axis=2)
        self._keep_expert("autoregression", rls.update(weights, gain, error), after, settled.scaled)

    def learn_linear(self, settled: Settled, slot: IntArray, delays: FloatArray) -> FloatArray:
        """The same for the linear expert, whose outputs of one horizon share a covariance.

        Returns
        -------
        What it says with the weights before, `(batch, outputs)`: the network learns what that leaves over.
        """
        arrays, window, lane = self._arrays, self._window, self._lanes[:, None]
        tracks = self._spec.num_tracks
        first = slot[:, ::tracks]
        seen = experts.linear_features(
            self._spec,
            window.inputs[lane, first],
            window.history[lane, first],
            window.past[lane, first, np.arange(first.shape[1])],
        )
        weights, covariance = arrays["linear.weights"], arrays["linear.covariance"]
        said: FloatArray = (weights * np.repeat(seen, tracks, axis=1)).sum(axis=2)
        error: FloatArray = settled.wanted - said
        curvature: FloatArray = np.ones(first.shape)
        told = experts.CERTAINTY / delays[:, ::tracks]
        if self._spec.task == "classification":
            probability = readout.softmax(said)
            error, curvature = settled.target - probability, readout.class_curvature(probability)[:, None]
        else:
            told = told * experts.credence(error, settled.scaled, first.shape[1])
        error = np.where(settled.scaled, error, 0.0)
        exact = self._network.sizes.exact_linear
        relearned, after = self._relearn(weights, covariance, seen, error, curvature, delays, told if exact else None)
        known = np.asarray(settled.scaled.reshape(self._batch, -1, tracks).any(axis=2))
        self._keep_expert("linear", relearned, after, known)
        return said

    def relearned_readout(self, lesson: Lesson, settled: Settled, delays: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The readout's weights after a lesson, and its covariance, `(batch, horizons, triangle)`."""
        covariance, error = self._arrays["readout.covariance"], lesson.error.numpy()
        curvature: FloatArray = np.ones(covariance.shape[:2])
        if self._spec.task == "classification":
            curvature = readout.class_curvature(settled.target - error.astype(np.float64))[:, None]  # what it says now
        seen = lesson.features.numpy()[:, :: self._spec.num_tracks]
        told = 1.0 / delays[:, :: self._spec.num_tracks] if self._network.sizes.exact_readout else None
        return self._relearn(self._arrays["readout.weights"], covariance, seen, error, curvature, delays, told)

    def doubt(self, alarm: BoolArray, doubt: FloatArray, watched: BoolArray) -> None:
        """In a surge of errors and after a drift alarm, the readout's least squares are less certain of what they know:
        they learn what is new.

        The linear experts are left alone: they have more weights than so few samples can tell apart, and on streams
        that only change a little it would cost them more than it brings.
        """
        if not self._network.sizes.exact_readout:
            return
        covariance = self._arrays["readout.covariance"]
        factor = np.where(watched, doubt, 1.0) * np.where(alarm, self._spec.learner.drift_inflation, 1.0)
        grows = (factor > 1.0) & ~self._frozen
        covariance[grows] = rls.inflate(covariance[grows], factor[grows], self._network.sizes.readout_features)

    def _keep_expert(self, name: str, relearned: FloatArray, after: FloatArray, known: BoolArray) -> None:
        """Keep what an expert has learned, in the groups of outputs where a target was `known` `(batch, groups)`.

        A group whose weights are not sound begins again: with what it knew before it could be stuck for ever.
        """
        known = known & ~self._frozen[:, None]
        weights, covariance = self._arrays[f"{name}.weights"], self._arrays[f"{name}.covariance"]
        sound = safe_expert(relearned, known.shape[1])[:, :, None]
        outputs = np.repeat(np.arange(known.shape[1]), weights.shape[1] // known.shape[1])
        weights[...] = np.where(known[:, outputs, None], np.where(sound[:, outputs], relearned, 0.0), weights)
        if covariance.size:
            start = rls.initial(weights.shape[2])
            covariance[...] = np.where(known[:, :, None], np.where(sound, after, start), covariance)

    def _relearn(
        self,
        weights: FloatArray,
        covariance: FloatArray,
        seen: FloatArray,
        error: FloatArray,
        curvature: FloatArray,
        delays: FloatArray,
        told: FloatArray | None,
    ) -> tuple[FloatArray, FloatArray]:
        """Weights and covariance of a linear map after an error: by least squares, each target counting as what it has
        `told`, `(batch, horizons)`; by LMS without.

        `seen` is `(batch, horizons, features)`: the outputs of one horizon share what they see.
        """
        tracks = self._spec.num_tracks
        if told is None:
            wide = np.repeat(seen, tracks, axis=1)
            return readout.update(weights, wide, error, self._spec.learner.readout_rate), covariance
        forgetting = delay.forgetting(self._spec.learner.forgetting, delays[:, ::tracks])
        gain, after = rls.gain(covariance, seen.astype(np.float64), forgetting, curvature * told)
        step = error.astype(np.float64) / np.repeat(curvature, tracks, axis=1)
        return rls.update(weights, np.repeat(gain, tracks, axis=1), step), after


__all__ = ["LinearMaps"]
