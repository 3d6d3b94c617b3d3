"""What every drift detector owes: an alarm soon after a change, to the stream that changed and to no other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_core.learner.drift import Adwin, NoDrift, PageHinkley, WindowTest, detector_for
from liquid_core.spec import AdwinSpec, DriftSpec, NoDriftSpec, PageHinkleySpec, WindowTestSpec
from liquid_core.types import FloatArray

from .watching import EAGER, SPECS, alarms_of, fresh, noise, state, watch

DETECTING = {name: spec for name, spec in SPECS.items() if name != "none"}
seeds = st.integers(0, 2**32 - 1)


def changing(seed: int, length: int = 150, batch: int = 1) -> FloatArray:
    """Errors whose level jumps now and then, a fifth of them missing: `(length, batch)`."""
    rng = np.random.default_rng(seed)
    levels = np.where(rng.random((length, batch)) < 0.03, rng.exponential(4.0, (length, batch)), np.nan)
    for n in range(length):
        levels[n] = np.where(np.isnan(levels[n]), levels[n - 1] if n else 0.0, levels[n])
    series = levels + np.abs(rng.normal(size=(length, batch)))
    return np.where(rng.random((length, batch)) < 0.2, np.nan, series)


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (PageHinkleySpec(), PageHinkley),
        (AdwinSpec(), Adwin),
        (WindowTestSpec(), WindowTest),
        (NoDriftSpec(), NoDrift),
    ],
)
def test_a_spec_has_its_detector(spec: DriftSpec, kind: type) -> None:
    """By the kind that it names."""
    assert detector_for(spec) is kind


@pytest.mark.parametrize("mode", ["up", "down", "both"])
@pytest.mark.parametrize("kind", [PageHinkleySpec, AdwinSpec, WindowTestSpec])
def test_a_mode_watches_its_own_side(
    kind: type[PageHinkleySpec] | type[AdwinSpec] | type[WindowTestSpec], mode: str
) -> None:
    """By default settings: a rise by three deviations alarms once within 64 values where it is watched, a fall too."""
    calm = noise(0, 1000)[:, 0]
    rise, fall = calm + np.repeat([0, 3], 500), calm + np.repeat([3, 0], 500)
    spec = kind(mode=mode)  # type: ignore[arg-type]

    assert alarms_of(calm, spec) == []
    for series, side in ((rise, "up"), (fall, "down")):
        found = alarms_of(series, spec)
        if mode in (side, "both"):
            assert 500 <= found[0] < 564
            assert len(found) == 1
        else:
            assert found == []


@settings(max_examples=30)
@given(seeds, st.sampled_from(sorted(SPECS)))
def test_streams_are_judged_each_by_itself(seed: int, name: str) -> None:
    """The same bits alone and beside others."""
    spec, series = SPECS[name], changing(seed, batch=3)
    together, after = watch(series, spec)

    for lane in range(3):
        alone, state_alone = watch(series[:, lane : lane + 1], spec)
        np.testing.assert_array_equal(alone[:, 0], together[:, lane])
        for field, value in state(state_alone).items():
            np.testing.assert_array_equal(value[0], state(after)[field][lane], err_msg=field)


@settings(max_examples=30)
@given(seeds, st.sampled_from(sorted(SPECS)), st.integers(0, 150))
def test_a_state_may_be_cut_anywhere(seed: int, name: str, cut: int) -> None:
    """What is in the arrays is all that there is: saved and read back, the detector goes on as if nothing had been."""
    spec, series = SPECS[name], changing(seed)
    whole, end = watch(series, spec)
    first, at_cut = watch(series[:cut], spec)
    arrays = detector_for(spec).arrays(spec)
    saved = {field: value.astype(arrays[field].dtype).tobytes() for field, value in state(at_cut).items()}
    read = {field: np.frombuffer(saved[field], array.dtype).reshape(1, *array.shape) for field, array in arrays.items()}
    second, after = watch(series[cut:], spec, type(at_cut)(**read))

    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    for field, value in state(after).items():
        np.testing.assert_array_equal(value, state(end)[field], err_msg=field)


@settings(max_examples=30)
@given(seeds, st.sampled_from(sorted(SPECS)))
def test_an_update_leaves_the_state_before_it_alone(seed: int, name: str) -> None:
    """Pure: new arrays, of the same types and shapes."""
    spec, series = SPECS[name], changing(seed, 60, batch=2)
    detector = fresh(spec, 2)
    for values in series:
        before = {field: value.copy() for field, value in state(detector).items()}
        observed = ~np.isnan(values)
        _, after = detector.update(np.where(observed, values, 0.0), observed, spec)
        for field, value in state(detector).items():
            np.testing.assert_array_equal(value, before[field], err_msg=field)
            assert (state(after)[field].dtype, state(after)[field].shape) == (value.dtype, value.shape)
        detector = after


@pytest.mark.parametrize("name", list(SPECS))
def test_what_is_not_observed_changes_nothing(name: str) -> None:
    """Gaps leave a detector where it was."""
    spec = SPECS[name]
    series = noise(4, 300)[:, 0] + np.repeat([0.0, 5.0, 0.0], 100)
    with_gaps = np.full(600, np.nan)
    with_gaps[::2] = series

    assert alarms_of(with_gaps, spec) == [2 * n for n in alarms_of(series, spec)]


@pytest.mark.parametrize("name", list(EAGER))
def test_it_starts_anew_after_an_alarm(name: str) -> None:
    """The state after an alarm is the initial one, and what comes then is judged as if nothing had been before."""
    spec = EAGER[name]
    series = noise(5, 400) + np.repeat([0.0, 6.0, 0.0, 9.0], 100)[:, None]
    first, *later = alarms_of(series[:, 0], spec)
    _, after = watch(series[: first + 1], spec)

    assert later
    assert later == [first + 1 + n for n in alarms_of(series[first + 1 :, 0], spec)]
    for field, value in state(fresh(spec)).items():
        np.testing.assert_array_equal(state(after)[field], value)


HOSTILE = [0.0, -0.0, 5e-324, 1e-300, 1.0, 10.0, 1e100, -1e100]


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(HOSTILE) | st.floats(-1e100, 1e100), min_size=1, max_size=80), st.sampled_from([*SPECS])
)
def test_a_state_stays_finite(values: list[float], name: str) -> None:
    """Whatever is shown to it: an error may be nothing at all, or beyond all measure."""
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        _, after = watch(np.array(values)[:, None], SPECS[name])

    assert all(np.isfinite(value).all() for value in state(after).values())


@pytest.mark.parametrize("name", list(DETECTING))
@pytest.mark.parametrize("value", [0.0, 0.1, 10.0])
def test_a_constant_raises_no_alarm(name: str, value: float) -> None:
    """Not even by rounding."""
    assert alarms_of(np.full(600, value), DETECTING[name]) == []


def test_a_stream_without_a_detector_has_no_arrays() -> None:
    """And no alarm, however wild its errors."""
    assert NoDrift.arrays(NoDriftSpec()) == {}
    assert alarms_of(np.repeat([0.0, 1e6], 100), NoDriftSpec()) == []
