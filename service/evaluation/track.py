"""A track: what one model said about every row, lined up with the rows that it was about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.evaluation.series import Floats


@dataclass(frozen=True)
class Track:
    """The predictions of one model at one horizon."""

    model: str
    horizon: int | None
    """Rows ahead; `None` where labels come from outside."""
    prediction: Floats
    """`(n, targets)`, or probabilities `(n, classes)`: at row r what was said about row r, `horizon` rows before.
    NaN where nothing was said."""
    lower: Floats | None = None
    upper: Floats | None = None
    """Ends of the interval, as `prediction`; `None` for a model without intervals."""
    median: Floats | None = None
    """As `prediction`; `None` for a model that has one number only."""

    @property
    def by_size(self) -> Floats:
        """What absolute errors are those of: the median, which they are least at, where the model says one."""
        return self.prediction if self.median is None else self.median


def shifted(made: Floats, horizon: int | None) -> Floats:
    """Predictions by the row at which they were made `(n, outputs)` as predictions by the row they are about."""
    if not horizon:
        return made
    about = np.full_like(made, np.nan)
    about[horizon:] = made[:-horizon]
    return about


__all__ = ["Track", "shifted"]
