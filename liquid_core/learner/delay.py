"""What late targets tell: the later they come, the less each of them.

A target that comes `delay` samples after its answer, be it that far ahead or a label that is late, finds as many
answers given in the meantime, and these err together: their errors are mostly made of the same samples. So a target on
its own tells about a `delay`-th of what a prompt one does. Who takes each for whole chases what the last few hours had
in common.
"""

from __future__ import annotations

import numpy as np

from liquid_core.learner.part import safe_divide
from liquid_core.types import BoolArray, FloatArray


def forgetting(prompt: float, delay: FloatArray) -> FloatArray:
    """Weight of the past against a target of that `delay`, so that what is remembered tells as much as it would of
    `prompt` ones."""
    return 1.0 - (1.0 - prompt) / delay


def learning_rate(prompt: float, delay: FloatArray) -> FloatArray:
    """Adam steps on after errors that agree as far as after any, so a step is shorter, though by half only: its mean of
    the gradients remembers ten of them and no more."""
    return prompt * 2.0 / (1.0 + delay)


def typical(delays: FloatArray, known: BoolArray) -> FloatArray:
    """Delay of the targets of a stream that are `known`, both `(batch, outputs)`, as the loss weighs them: their
    harmonic mean, `(batch,)`; one where none is."""
    promptness = np.where(known, 1.0 / delays, 0.0).sum(axis=1)
    return np.where(promptness > 0, safe_divide(known.sum(axis=1).astype(np.float64), promptness), 1.0)


__all__ = ["forgetting", "learning_rate", "typical"]
