"""What the linear experts go by: each target's own past, or all that is shown of all.

Both come from what the window keeps of a sample: the calendar among its inputs, the view of the targets' history, and
how far from where they are now the targets were: at the same point of past periods, and on average.
"""

from __future__ import annotations

import numpy as np

from liquid_core.learner.calendar import WAVES
from liquid_core.learner.history import SLOW, VIEW
from liquid_core.learner.part import safe_divide
from liquid_core.learner.season import PERIODS_BACK
from liquid_core.spec import ModelSpec
from liquid_core.types import BoolArray, FloatArray

#: Where a target was before, as far from where it is now: whole periods back, and the slow means.
PAST = len(PERIODS_BACK) + len(SLOW)
#: Features of the autoregression: a constant, the target's own history, the calendar and its past.
AUTOREGRESSION_WIDTH = 1 + VIEW + WAVES + PAST
#: Columns of a history's view that the linear expert sees of a forecast, whose inputs show level and last change.
_FORECAST_VIEW = (2, 3)
#: What it sees of every target's past: the last period, the one a week of days ago, and the slow means.
LINEAR_PAST = (0, 3, *range(len(PERIODS_BACK), PAST))
#: What a target tells the linear experts, in units of its own scale: as much as one with noise of ten times its size.
#: They have many weights, most of them small, and must not take the noise of the first thousand samples for them.
CERTAINTY = 0.1
#: An error of the linear expert beyond this many scales teaches it by its size and not by the square of that: of what
#: happens once in a while it would make a rule (Huber 1964, by weights).
WIDE = 1.0


def linear_view(spec: ModelSpec) -> tuple[int, ...]:
    """Which columns of a history's view the linear expert sees."""
    return _FORECAST_VIEW if spec.task == "forecast" else tuple(range(VIEW))


def num_linear_features(spec: ModelSpec, num_inputs: int) -> int:
    """What the linear expert sees: the inputs, of every target history and past, and a constant."""
    return num_inputs + spec.num_tracks * (len(linear_view(spec)) + len(LINEAR_PAST)) + 1


def linear_features(spec: ModelSpec, inputs: FloatArray, history: FloatArray, past: FloatArray) -> FloatArray:
    """Features of the linear expert, `(batch, horizons, linear features)`.

    Parameters
    ----------
    inputs, history, past
        Of the sample that each horizon looks from: `(batch, horizons, inputs)`, `(batch, horizons, tracks, VIEW)` and
        `(batch, horizons, tracks, PAST)`.
    """
    of_tracks = np.concatenate([history[..., linear_view(spec)], past[..., LINEAR_PAST]], axis=3)
    flat = of_tracks.reshape(*of_tracks.shape[:2], -1)
    return np.concatenate([inputs, flat, np.ones((*flat.shape[:2], 1))], axis=2, dtype=np.float64)


def credence(error: FloatArray, known: BoolArray, num_horizons: int) -> FloatArray:
    """What a horizon's targets count for the linear expert, `(batch, horizons)`, after its `error` at those that are
    `known`, `(batch, outputs)`: one, and less the wider it was."""
    grouped = (error.shape[0], num_horizons, -1)
    square = np.where(known, error * error, 0.0).reshape(grouped).sum(axis=2)
    size = np.sqrt(safe_divide(square, known.reshape(grouped).sum(axis=2).astype(np.float64)))
    return np.where(size > WIDE, WIDE / np.where(size > WIDE, size, 1.0), 1.0)


def autoregression_features(history: FloatArray, past: FloatArray, calendar: FloatArray) -> FloatArray:
    """Features of the autoregression, `(batch, outputs, AUTOREGRESSION_WIDTH)`.

    Parameters
    ----------
    history, past
        Of each output's target, `(batch, outputs, VIEW)` and `(batch, outputs, PAST)`.
    calendar
        `(batch, outputs, WAVES)`.
    """
    constant = np.ones((*history.shape[:2], 1))
    return np.concatenate([constant, history, calendar, past], axis=2, dtype=np.float64)


__all__ = [
    "AUTOREGRESSION_WIDTH",
    "CERTAINTY",
    "LINEAR_PAST",
    "PAST",
    "WIDE",
    "autoregression_features",
    "credence",
    "linear_features",
    "linear_view",
    "num_linear_features",
]
