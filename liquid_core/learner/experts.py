"""What the linear experts go by: each target's own past, or all that is shown of all.

Both come from what the window keeps of a sample: the calendar among its inputs, the view of the targets' history, and
how far the targets were from where they are now at the same point of past periods.
"""

from __future__ import annotations

import numpy as np

from liquid_core.learner.calendar import WAVES
from liquid_core.learner.history import VIEW
from liquid_core.learner.season import PERIODS_BACK
from liquid_core.spec import ModelSpec
from liquid_core.types import FloatArray

#: Features of the autoregression: a constant, the target's own history, the calendar and the season.
AUTOREGRESSION_WIDTH = 1 + VIEW + WAVES + len(PERIODS_BACK)
#: Columns of a history's view that the linear expert sees of a forecast, whose inputs show level and last change.
_FORECAST_VIEW = (2, 3)
#: Past periods that it sees of every target: the last, and the one a week of days ago.
LINEAR_PERIODS = (0, 3)


def linear_view(spec: ModelSpec) -> tuple[int, ...]:
    """Which columns of a history's view the linear expert sees."""
    return _FORECAST_VIEW if spec.task == "forecast" else tuple(range(VIEW))


def num_linear_features(spec: ModelSpec, num_inputs: int) -> int:
    """What the linear expert sees: the inputs, of every target history and season, and a constant."""
    return num_inputs + spec.num_tracks * (len(linear_view(spec)) + len(LINEAR_PERIODS)) + 1


def linear_features(spec: ModelSpec, inputs: FloatArray, history: FloatArray, seasonal: FloatArray) -> FloatArray:
    """Features of the linear expert, `(batch, horizons, linear features)`.

    Parameters
    ----------
    inputs, history, seasonal
        Of the sample that each horizon looks from: `(batch, horizons, inputs)`, `(batch, horizons, tracks, VIEW)` and
        `(batch, horizons, tracks, periods)`.
    """
    of_tracks = np.concatenate([history[..., linear_view(spec)], seasonal[..., LINEAR_PERIODS]], axis=3)
    flat = of_tracks.reshape(*of_tracks.shape[:2], -1)
    return np.concatenate([inputs, flat, np.ones((*flat.shape[:2], 1))], axis=2, dtype=np.float64)


def autoregression_features(history: FloatArray, seasonal: FloatArray, calendar: FloatArray) -> FloatArray:
    """Features of the autoregression, `(batch, outputs, AUTOREGRESSION_WIDTH)`.

    Parameters
    ----------
    history, seasonal
        Of each output's target, `(batch, outputs, VIEW)` and `(batch, outputs, periods)`.
    calendar
        `(batch, outputs, WAVES)`.
    """
    constant = np.ones((*history.shape[:2], 1))
    return np.concatenate([constant, history, calendar, seasonal], axis=2, dtype=np.float64)


__all__ = [
    "AUTOREGRESSION_WIDTH",
    "LINEAR_PERIODS",
    "autoregression_features",
    "linear_features",
    "linear_view",
    "num_linear_features",
]
