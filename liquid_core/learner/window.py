"""The window: a ring of the last samples, as much of each as TBPTT and the settling of forecasts need later.

Sample number n (from 1) lies in slot ``n % length``. The ring is just long enough that everything a step can ask for is
still there: the TBPTT window behind the oldest sample whose target may still arrive, and the hidden state before that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from liquid_core.learner.experts import PAST
from liquid_core.learner.history import VIEW
from liquid_core.learner.mix import EXPERTS, MEMORIES, num_losses
from liquid_core.learner.part import ArraySpec
from liquid_core.spec import ModelSpec
from liquid_core.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Window:
    """The rings of a batch of streams; the second axis is the slot."""

    #: `seq` of the sample, `(batch, length)`; 0 where none was yet.
    seq: IntArray
    #: What the cell saw, `(batch, length, inputs)`.
    inputs: FloatArray
    #: Elapsed time before the sample in typical gaps, `(batch, length)`.
    elapsed: FloatArray
    #: Hidden state after the sample, `(batch, length, state)`.
    hidden: FloatArray
    #: What was known of the targets, `(batch, length, tracks, VIEW)`, and, for every horizon, how far they were from it
    #: at the same point of past periods and on average, in residual scales, `(batch, length, horizons, tracks, PAST)`.
    history: FloatArray
    past: FloatArray
    #: The naive guess that the prediction started from, `(batch, length, tracks)`.
    base: FloatArray
    #: Residual scale at that time, `(batch, length, outputs)`.
    scale: FloatArray
    #: What the experts said, `(batch, length, experts, outputs)`, and what their mix made of it,
    #: `(batch, length, 1 + rows of the mix, outputs)`, in residual scales.
    said: FloatArray
    mixed: FloatArray
    #: What was answered, and the half-width of its interval, `(batch, length, outputs)`.
    prediction: FloatArray
    half_width: FloatArray
    #: Whether a label came for the sample, `(batch, length)`, and the label, `(batch, length, targets)`; a forecast,
    #: which takes its targets from later samples, has no room for labels here.
    labelled: BoolArray
    label: FloatArray
    #: Whether there was a label to guess from when the sample came, `(batch, length)`, and both guesses from it,
    #: `(batch, length, tracks)`; neither is kept for a forecast.
    guessed: BoolArray
    mean_guess: FloatArray
    last_guess: FloatArray

    @staticmethod
    def length_for(spec: ModelSpec) -> int:
        reach = max(spec.horizons) if spec.horizons else spec.learner.label_horizon
        return spec.learner.window + reach + 1

    @staticmethod
    def arrays(spec: ModelSpec, num_inputs: int, state_size: int, real: DTypeLike) -> dict[str, ArraySpec]:
        length, outputs = Window.length_for(spec), spec.num_outputs
        labels = 0 if spec.task == "forecast" else length
        return {
            "seq": ArraySpec(np.int64, (length,)),
            "inputs": ArraySpec(real, (length, num_inputs)),
            "elapsed": ArraySpec(real, (length,)),
            "hidden": ArraySpec(real, (length, state_size)),
            "history": ArraySpec(real, (length, spec.num_tracks, VIEW)),
            "past": ArraySpec(real, (length, max(1, len(spec.horizons)), spec.num_tracks, PAST)),
            "base": ArraySpec(np.float64, (length, spec.num_tracks)),
            "scale": ArraySpec(np.float64, (length, outputs)),
            "said": ArraySpec(np.float64, (length, len(EXPERTS), outputs)),
            "mixed": ArraySpec(np.float64, (length, num_losses(values=spec.num_medians > 0) * (1 + MEMORIES), outputs)),
            "prediction": ArraySpec(np.float64, (length, outputs)),
            "half_width": ArraySpec(np.float64, (length, outputs)),
            "labelled": ArraySpec(np.bool_, (labels,)),
            "label": ArraySpec(np.float64, (labels, spec.num_targets)),
            "guessed": ArraySpec(np.bool_, (labels,)),
            "mean_guess": ArraySpec(np.float64, (labels, spec.num_tracks)),
            "last_guess": ArraySpec(np.float64, (labels, spec.num_tracks)),
        }


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive samples that TBPTT unrolls in one go, and the horizons whose newest target lies among them.

    Samples are counted from the one at which targets arrive: the stretch runs from ``first`` to ``last``, both
    included, and the target of horizon ``h`` belongs to sample ``-h``.
    """

    first: int
    last: int
    horizons: tuple[int, ...]

    def __len__(self) -> int:
        return self.last - self.first + 1


def stretches_for(spec: ModelSpec) -> tuple[Stretch, ...]:
    """The samples to unroll at each step: for every horizon h the `window` samples that end h samples back.

    Where these overlap they are unrolled once; a target a day ahead has a stretch of its own a day back. Horizons
    come in descending order, as their samples do. Without horizons there is one stretch, and it ends at the labelled
    sample.
    """
    window = spec.learner.window
    stretches: list[Stretch] = []
    for horizon in sorted(spec.horizons or (0,), reverse=True):
        first = -horizon - window + 1
        if stretches and first <= stretches[-1].last + 1:
            before = stretches.pop()
            stretches.append(Stretch(before.first, -horizon, (*before.horizons, horizon)))
        else:
            stretches.append(Stretch(first, -horizon, (horizon,)))
    return tuple(stretches)


__all__ = ["Stretch", "Window", "stretches_for"]
