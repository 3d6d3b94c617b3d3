"""The guard: what stops an update or a state that would destroy a stream."""

from __future__ import annotations

import numpy as np

from liquid_core.types import BoolArray, FloatArray

#: A weight beyond this has left every range in which these cells mean anything.
MAX_WEIGHT = 1e3
#: A gradient longer than this has exploded: clipping it would keep nothing but its direction, which is noise.
MAX_GRADIENT = 1e15
#: A hidden state beyond this likewise; LTC and gated CfC states are bounded far below it.
MAX_HIDDEN = 1e3
#: A network output, in residual scales, beyond which it is cut off: no single answer may run away.
MAX_OUTPUT = 20.0


def safe_update(loss: FloatArray, gradient_norm: FloatArray, weights: FloatArray) -> BoolArray:
    """Which streams may keep their update, `(batch,)`.

    `loss` and `gradient_norm` are `(batch,)`, `weights` `(batch, params)` are those after it.
    """
    # A comparison with NaN is false, so "all within" also says "all finite".
    within = (np.abs(weights) <= MAX_WEIGHT).all(axis=1)
    return np.isfinite(loss) & (np.abs(gradient_norm) <= MAX_GRADIENT) & within


def safe_readout(weights: FloatArray) -> BoolArray:
    """Which streams' readout weights `(batch, outputs, readout features)` are sound, `(batch,)`."""
    return safe_expert(weights, 1)[:, 0]


def safe_expert(weights: FloatArray, num_groups: int) -> BoolArray:
    """Which groups of an expert's linear maps, whose weights are `(batch, outputs, features)`, are sound.

    Returns
    -------
    `(batch, groups)`: outputs that share a covariance, one after the other, are a group.
    """
    grouped = weights.reshape(weights.shape[0], num_groups, -1)
    return np.asarray((np.abs(grouped) <= MAX_WEIGHT).all(axis=2))


def safe_hidden(hidden: FloatArray) -> BoolArray:
    """Which streams' hidden states `(batch, state)` are sound, `(batch,)`."""
    return np.asarray((np.abs(hidden) <= MAX_HIDDEN).all(axis=1))


def safe_rest(rest: FloatArray) -> FloatArray:
    """What the readout adds to the linear expert's word; nothing where it is not finite."""
    return np.where(np.isfinite(rest), rest, 0.0)


def safe_outputs(outputs: FloatArray) -> FloatArray:
    """Outputs cut off at `MAX_OUTPUT`; zero, the naive prediction, where they are not finite."""
    return np.clip(np.where(np.isfinite(outputs), outputs, 0.0), -MAX_OUTPUT, MAX_OUTPUT)


__all__ = [
    "MAX_GRADIENT",
    "MAX_HIDDEN",
    "MAX_OUTPUT",
    "MAX_WEIGHT",
    "safe_expert",
    "safe_hidden",
    "safe_outputs",
    "safe_readout",
    "safe_rest",
    "safe_update",
]
