"""What holds of every row that a learner has made, and must be asked of one that comes from elsewhere.

A state of ours is what our steps have made of it. A state that somebody sends may say anything: that a period is
longer than the ring it is looked up in, that a variance is negative. Every number is held against the range that steps
keep it in, so that whatever is taken over gives finite answers and stays within its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_core.engine.admission import MAX_SEQ, MAX_TIME, MAX_VALUE
from liquid_core.engine.layout import Field, StateLayout
from liquid_core.errors import StateFormatError
from liquid_core.learner import conformal, rls, upset
from liquid_core.learner.clock import MAX_ELAPSED
from liquid_core.learner.guard import MAX_HIDDEN, MAX_OUTPUT, MAX_WEIGHT
from liquid_core.learner.scaler import MAX_SCALED
from liquid_core.spec import AdwinSpec, ModelSpec
from liquid_core.types import ByteArray

Range = tuple[float, float]

#: What can be the square of a value, of a difference of two, or a sum of a few of them.
_SQUARE: Range = (0.0, 1e3 * MAX_VALUE**2)
#: A value, or what was made of one: an answer lies up to `MAX_OUTPUT` scales beside it.
_VALUE: Range = (-1e3 * MAX_VALUE, 1e3 * MAX_VALUE)
_SIZE: Range = (0.0, _VALUE[1])
_TIME: Range = (-MAX_TIME, MAX_TIME)
_COUNT: Range = (0, MAX_SEQ)
_SHARE: Range = (0.0, 1.0)
_SCALED: Range = (-MAX_SCALED, MAX_SCALED)
_WEIGHT: Range = (-MAX_WEIGHT, MAX_WEIGHT)
_OUTPUT: Range = (-MAX_OUTPUT, MAX_OUTPUT)
#: Running means of what is counted in scales.
_SCALES: Range = (-1e15, 1e15)
_SCALES_SQUARED: Range = (0.0, 1e30)
_COVARIANCE: Range = (-rls.PRIOR * (1 + 1e-9), rls.PRIOR * (1 + 1e-9))

#: By name; of what is not here, whole numbers are counts, and others values.
_RANGES: dict[str, Range] = {
    "stream.last_t": _TIME,
    "clock.first_t": _TIME,
    "clock.last_t": _TIME,
    "clock.gap": (0.0, 2 * MAX_TIME),
    "scaler.variance": _SQUARE,
    "scaler.change_square": _SQUARE,
    "residual.square": _SQUARE,
    "history.variance": _SQUARE,
    "history.change_square": _SQUARE,
    "season.distance": (0.0, 1e3),
    "mix.regret": _SCALES,
    "mix.square": _SCALES_SQUARED,
    "mix.share": _SHARE,
    "mix.trust_regret": _SCALES,
    "mix.trust_square": _SCALES_SQUARED,
    "mix.trust": _SHARE,
    "guess.mean_error": _SIZE,
    "guess.last_error": _SIZE,
    "conformal.radius": (conformal.MIN_RADIUS, conformal.MAX_RADIUS),
    "anomaly.square": _SCALES_SQUARED,
    "anomaly.recent": _SHARE,
    "anomaly.usual": _SHARE,
    "anomaly.level": _SCALES,
    "metrics.total": _SQUARE,
    "metrics.total_naive": _SQUARE,
    "metrics.recent": _SIZE,
    "metrics.recent_naive": _SIZE,
    "surge.recent": _SCALES_SQUARED,
    "surge.usual": _SCALES_SQUARED,
    "drift.mean": _SCALES,
    "drift.rise": _SCALES,
    "drift.fall": _SCALES,
    "drift.lowest_rise": _SCALES,
    "drift.highest_fall": _SCALES,
    "drift.total": _SCALES_SQUARED,
    "drift.squares": _SCALES_SQUARED,
    "drift.sums": _SCALES_SQUARED,
    "drift.values": (0.0, _SCALES[1]),
    "autoregression.weights": _WEIGHT,
    "autoregression.covariance": _COVARIANCE,
    "network.weights": _WEIGHT,
    "adam.first": (-1e6, 1e6),
    "adam.second": (0.0, 1e12),
    "adam.decay1": _SHARE,
    "adam.decay2": _SHARE,
    "linear.weights": _WEIGHT,
    "linear.covariance": _COVARIANCE,
    "readout.weights": _WEIGHT,
    "readout.covariance": _COVARIANCE,
    "window.inputs": _SCALED,
    "window.elapsed": (0.0, MAX_ELAPSED),
    "window.hidden": (-MAX_HIDDEN, MAX_HIDDEN),
    "window.history": _SCALED,
    "window.past": _SCALED,
    "window.scale": _SIZE,
    "window.said": _OUTPUT,
    "window.mixed": _OUTPUT,
    "window.half_width": _SIZE,
    "window.label": (-MAX_VALUE, MAX_VALUE),
    "upset.calm": (0, upset.MOST_CALM),
    "upset.broken": (0, upset.MOST_CALM),
    "upset.credit": (-upset.MOST_OWED, upset.CREDIT),
    "upset.kept": (_VALUE[0], _SQUARE[1]),
    "answers.fingerprint": (0, 2**32 - 1),
    "answers.half_width": (-1.0, _SIZE[1]),
    "answers.anomaly": (-1.0, 1.0),
}


def check(layout: StateLayout, spec: ModelSpec, row: ByteArray) -> None:
    """Refuse a row `(row_bytes,)` that no learner of `spec` can have made.

    Raises
    ------
    StateFormatError
        An array holds something that steps keep out of it; the message names the first one.
    """
    arrays = layout.views(row[None])
    for field in layout.fields:
        low, high = range_of(field)
        if arrays[field.name].dtype != np.bool_ and not _within(arrays[field.name], low, high):
            raise _unsound(field.name, f"must lie between {low:g} and {high:g}")
    if arrays["upset.age"][0] > 0:  # what was kept in one that is over is never looked at again
        _check_upset(layout, arrays)
    _check_numbers(arrays)
    if not _within(arrays["season.period"], 0, arrays["season.distance"].shape[1] - 1):
        raise _unsound("season.period", "must lie within the ring of past values")
    if isinstance(spec.learner.drift_spec, AdwinSpec):
        _check_buckets(arrays, spec.learner.drift_spec)


def range_of(field: Field) -> Range:
    """What the numbers of an array lie within."""
    return _RANGES.get(field.name, _COUNT if field.dtype.kind == "i" else _VALUE)


def _check_numbers(arrays: dict[str, NDArray[Any]]) -> None:
    """The samples that are remembered are some of those that were given."""
    seq, samples = arrays["stream.seq"][0], arrays["stream.samples"][0]
    if samples > seq:
        raise _unsound("stream.samples", "must not be more than there were numbers")
    if arrays["history.newest"][0] > samples:
        raise _unsound("history.newest", "must be one of the samples")
    for name in ("window.seq", "answers.seq"):
        given = arrays[name][arrays[name] > 0]
        if given.size and (given.max() > seq or len(np.unique(given)) < given.size):
            raise _unsound(name, "must be numbers of different samples, none after the last one")


def _check_upset(layout: StateLayout, arrays: Mapping[str, NDArray[Any]]) -> None:
    """What an upset has kept may soon be taken up again."""
    sizes = [arrays[name][0].size for name in upset.KEPT]
    for name, kept in upset.split(arrays["upset.kept"][0], sizes).items():
        if not _within(kept, *range_of(layout.field(name))):
            raise _unsound("upset.kept", f"must be what `{name}` can have been")


def _check_buckets(arrays: dict[str, NDArray[Any]], drift: AdwinSpec) -> None:
    """ADWIN's buckets hold what its window does."""
    count = arrays["drift.buckets"][0]
    if not _within(count, 0, drift.max_buckets):
        raise _unsound("drift.buckets", f"must lie between 0 and {drift.max_buckets}")
    if arrays["drift.width"][0] != (count << np.arange(drift.levels)).sum():
        raise _unsound("drift.width", "must be what the buckets hold")


def _within(values: NDArray[Any], low: float, high: float) -> bool:
    return bool(((values >= low) & (values <= high)).all())


def _unsound(name: str, rule: str) -> StateFormatError:
    return StateFormatError(f"`{name}` of the state {rule}; take a state that this service has exported.")


__all__ = ["check", "range_of"]
