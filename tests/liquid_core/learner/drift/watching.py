"""What tests of drift detectors do again and again."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from liquid_core.learner.drift import Detector, detector_for
from liquid_core.spec import AdwinSpec, DriftSpec, NoDriftSpec, PageHinkleySpec, WindowTestSpec
from liquid_core.types import BoolArray, FloatArray

#: Detectors that alarm soon and at either side, so that short series reach every branch.
EAGER: dict[str, DriftSpec] = {
    "page_hinkley": PageHinkleySpec(min_samples=5, threshold=3.0, mode="both"),
    "adwin": AdwinSpec(delta=0.3, clock=4, max_buckets=2, mode="both"),
    "adwin-small": AdwinSpec(delta=0.5, clock=3, max_buckets=1, levels=5, min_window_length=1, mode="both"),
    "window_test": WindowTestSpec(alpha=0.01, window=20, recent=6, clock=2, mode="both"),
}
#: The detectors as they come, and as above.
SPECS: dict[str, DriftSpec] = EAGER | {
    "page_hinkley-default": PageHinkleySpec(),
    "adwin-default": AdwinSpec(),
    "window_test-default": WindowTestSpec(),
    "none": NoDriftSpec(),
}


def fresh(spec: DriftSpec, batch: int = 1) -> Detector:
    """A detector in its initial state."""
    kind = detector_for(spec)
    arrays = kind.arrays(spec)
    return kind(**{name: np.full((batch, *a.shape), a.initial, dtype=a.dtype) for name, a in arrays.items()})


def state(detector: Detector) -> dict[str, Any]:
    return {field.name: getattr(detector, field.name) for field in fields(detector)}


def watch(series: FloatArray, spec: DriftSpec, detector: Detector | None = None) -> tuple[BoolArray, Detector]:
    """Alarms over a series `(time, batch)`, and the state after it; NaN is not observed."""
    detector = detector or fresh(spec, series.shape[1])
    alarms = np.zeros(series.shape, dtype=np.bool_)
    for n, values in enumerate(series):
        observed = ~np.isnan(values)
        alarms[n], detector = detector.update(np.where(observed, values, 0.0), observed, spec)
    return alarms, detector


def alarms_of(series: FloatArray, spec: DriftSpec) -> list[int]:
    """Where in a series `(time,)` the detector alarms."""
    return np.flatnonzero(watch(series[:, None], spec)[0]).tolist()


def noise(seed: int, length: int, batch: int = 1) -> FloatArray:
    """What an error looks like whose level does not change: `(length, batch)`, above zero."""
    return np.abs(np.random.default_rng(seed).normal(size=(length, batch)))
