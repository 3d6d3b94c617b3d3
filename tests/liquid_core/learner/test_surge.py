"""The surge: errors several times as large as usual make the readout less certain, for as long as they last."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.learner.surge import BEGINNING, DOUBT, FIRST_SURGE, MAX_GROWTH, MAX_SQUARE, RECENT_RATE, Surge
from liquid_core.types import FloatArray


def run(errors: FloatArray, surge: Surge | None = None, naive: FloatArray | float = 1.0) -> tuple[FloatArray, Surge]:
    """The factor after each error of one stream, and the state at the end; the naive guess errs as ever."""
    surge = surge or Surge(count=np.zeros(1, np.int64), recent=np.zeros((1, 2)), usual=np.zeros((1, 2)))
    factors = []
    for error, naive_error in zip(errors, np.broadcast_to(naive, len(errors)), strict=True):
        surge = surge.update(np.array([error]), np.array([naive_error]), np.array([True]))
        factors.append(surge.doubt()[0])
    return np.array(factors), surge


def noise(count: int, seed: int = 0) -> FloatArray:
    return np.abs(np.random.default_rng(seed).normal(size=count))


def test_noise_is_no_surge() -> None:
    factors, _ = run(noise(20_000))

    assert (factors == 1.0).all()


def test_larger_errors_raise_doubt_until_they_are_usual() -> None:
    """It begins within a few errors, is the larger the larger they are, and ends by itself though they stay."""
    calm, surge = run(noise(2000))
    twice, _ = run(2.5 * noise(2000, seed=1), surge)
    thrice, _ = run(5.0 * noise(2000, seed=1), surge)

    assert (calm == 1.0).all()
    assert (thrice > 1.0).argmax() < 15
    assert thrice.sum() > twice.sum() > len(twice)
    assert (thrice[-500:] == 1.0).all()


def test_it_ends_with_the_errors() -> None:
    _, surge = run(noise(2000))
    during, surge = run(5.0 * noise(40, seed=1), surge)
    after, _ = run(noise(200, seed=2), surge)

    assert during[-1] > 1.0
    assert (after[60:] == 1.0).all()


def test_one_wild_error_is_no_surge() -> None:
    """However wild: it counts as a few usual ones."""
    _, surge = run(np.ones(1000))
    factors, after = run(np.array([1e9, 1.0, 1.0]), surge)

    assert (factors == 1.0).all()
    expected = 1.0 + RECENT_RATE * (1 - RECENT_RATE) ** 2 * (MAX_SQUARE - 1)
    np.testing.assert_allclose(after.recent[0, 0], expected, rtol=0.01)


def test_the_factor_follows_from_the_two_means() -> None:
    recent = np.array([[4.0, 1.0], [3.0, 1.0], [2.0, 1.0], [8.0, 4.0], [8.0, 0.1]])
    usual = np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    surge = Surge(count=np.array([FIRST_SURGE] * 5), recent=recent, usual=usual)

    by = [4.0 - BEGINNING, 0.0, 0.0, 4.0 - BEGINNING, 8.0 - BEGINNING]
    np.testing.assert_allclose(surge.doubt(), [min(1.0 + DOUBT * above, MAX_GROWTH) for above in by])


def test_busy_hours_are_no_surge() -> None:
    """Where the naive guess errs that much more as well, it takes more."""
    _, surge = run(noise(2000), naive=2 * noise(2000, seed=3))
    alone, _ = run(4 * noise(60, seed=1), surge, naive=2 * noise(60, seed=4))
    together, _ = run(4 * noise(60, seed=1), surge, naive=8 * noise(60, seed=4))

    assert (alone > 1.0).sum() > 10
    assert (together == 1.0).all()


def test_a_stream_that_never_erred_is_never_in_doubt() -> None:
    factors, _ = run(np.zeros(100))

    assert (factors == 1.0).all()


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=120), st.integers(-20, 20))
def test_the_unit_of_the_errors_does_not_matter(errors: list[float], power: int) -> None:
    factors, _ = run(np.array(errors))
    scaled, _ = run(np.array(errors) * 2.0**power)

    if all(error == 0 or error > 1e-100 for error in errors):
        np.testing.assert_array_equal(scaled, factors)
    assert (factors >= 1.0).all()
    assert (factors <= MAX_GROWTH).all()


def test_where_nothing_was_observed_nothing_changes() -> None:
    _, surge = run(noise(100))
    after = surge.update(np.array([7.0]), np.array([7.0]), np.array([False]))

    assert after.count == surge.count
    np.testing.assert_array_equal([after.recent, after.usual], [surge.recent, surge.usual])
