"""Nothing sees a row before its time: another future leaves every earlier prediction as it was, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from liquid_core.spec import LearnerSpec, ModelSpec
from service.evaluation import Series, Track, baselines, run_liquid
from service.evaluation.peers import has_river, river_peers

CUT = 150
HORIZONS = (1, 6)


def other_future(series: Series) -> Series:
    """The same rows before `CUT`; other values and labels after, and another time. The sample of row `CUT` itself
    is still the same, since a label is predicted with the sample in hand."""
    rng = np.random.default_rng(9)
    x, t = series.x.copy(), series.t.copy()
    first = CUT if series.y is None else CUT + 1
    x[first:] = 50.0 + 20.0 * rng.standard_normal(x[first:].shape)
    t[CUT + 1 :] += 5_000.0
    y = None
    if series.y is not None:
        y = series.y.copy()
        y[CUT:] = rng.integers(0, 3, y[CUT:].shape) if series.classes else 99.0 + rng.standard_normal(y[CUT:].shape)
    return replace(series, t=t, x=x, y=y)


def spec_of(series: Series) -> ModelSpec:
    names = {"classes": series.classes} if series.classes else {"targets": series.targets}
    horizon = {"horizon": HORIZONS} if series.y is None else {}
    learner = LearnerSpec(window=4)
    return ModelSpec(task=series.task, features=series.features, learner=learner, late="clamp", **names, **horizon)


def assert_same_before(one: Track, other: Track) -> None:
    """What was said before row `CUT` was there: a forecast about `CUT` was made `horizon` rows before."""
    made = CUT + (one.horizon or 1)
    assert (one.model, one.horizon) == (other.model, other.horizon)
    np.testing.assert_array_equal(one.prediction[:made], other.prediction[:made])
    np.testing.assert_array_equal(one.by_size[:made], other.by_size[:made])
    assert not np.array_equal(one.prediction[made:], other.prediction[made:], equal_nan=True)


def test_the_stream_does_not_see_the_future(any_series):
    spec = spec_of(any_series)
    for one, other in zip(
        run_liquid(any_series, spec).tracks, run_liquid(other_future(any_series), spec).tracks, strict=True
    ):
        assert_same_before(one, other)


def test_no_baseline_sees_the_future(any_series):
    ours = list(baselines.run_baselines(any_series, HORIZONS))
    others = list(baselines.run_baselines(other_future(any_series), HORIZONS))
    assert len(ours) >= 2
    for one, other in zip(ours, others, strict=True):
        assert_same_before(one, other)


@pytest.mark.skipif(not has_river(), reason="river is not installed")
def test_no_peer_sees_the_future(any_series):
    """Two of river's models, through the loop that all of them run in."""
    fast = {"river LinearRegression", "river SNARIMAX", "river LogisticRegression"}
    for one, other in zip(
        river_peers(any_series, HORIZONS), river_peers(other_future(any_series), HORIZONS), strict=True
    ):
        if one.name in fast:
            for track, changed in zip(one.run(), other.run(), strict=True):
                assert_same_before(track, changed)


def test_a_late_label_is_not_used_early(late_labels):
    """Persistence with labels five rows late says what was known then."""
    said, truth = baselines.persistence(late_labels).prediction[:, 0], late_labels.truth[:, 0]
    for row in range(30, 60):
        known = [value for value in truth[: row - 5] if not np.isnan(value)]
        assert said[row] == known[-1]
