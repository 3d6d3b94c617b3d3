"""The learner: how a stream measures, predicts and learns, each part a small state and a pure update of it.

A good part is right for one stream alone, in any unit and at any scale, and never lets a stream touch its neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from liquid_core.lazy import lazily
from liquid_core.learner.adam import Adam, clip_by_norm
from liquid_core.learner.anomaly import Anomaly
from liquid_core.learner.clock import Clock
from liquid_core.learner.drift import PageHinkley
from liquid_core.learner.guess import Guess
from liquid_core.learner.metrics import Prequential
from liquid_core.learner.moments import Moments
from liquid_core.learner.part import ArraySpec
from liquid_core.learner.residual import Residual
from liquid_core.learner.scaler import Scaler
from liquid_core.learner.settle import Pending, Settled, settle_class, settle_values
from liquid_core.learner.surge import Surge
from liquid_core.learner.window import Stretch, Window, stretches_for

if TYPE_CHECKING:
    from liquid_core.learner.network import Network
    from liquid_core.learner.packing import Packing
    from liquid_core.learner.tbptt import Lesson, Unrolled, learn_window

__getattr__, __dir__ = lazily(
    __name__,
    {
        "liquid_core.learner.network": ("Network",),
        "liquid_core.learner.packing": ("Packing",),
        "liquid_core.learner.tbptt": ("Lesson", "Unrolled", "learn_window"),
    },
)

__all__ = [
    "Adam",
    "Anomaly",
    "ArraySpec",
    "Clock",
    "Guess",
    "Lesson",
    "Moments",
    "Network",
    "Packing",
    "PageHinkley",
    "Pending",
    "Prequential",
    "Residual",
    "Scaler",
    "Settled",
    "Stretch",
    "Surge",
    "Unrolled",
    "Window",
    "clip_by_norm",
    "learn_window",
    "settle_class",
    "settle_values",
    "stretches_for",
]
