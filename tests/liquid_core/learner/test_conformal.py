"""Intervals: in the long run the wanted fraction of targets lies inside, whatever the noise does."""

from __future__ import annotations

import numpy as np
import pytest

from liquid_core.learner import conformal
from liquid_core.learner.conformal import MAX_RADIUS, MIN_RADIUS
from liquid_core.types import FloatArray

YES = np.ones((1, 1), dtype=np.bool_)


def track(noise: FloatArray, coverage: float) -> tuple[FloatArray, FloatArray]:
    """Which of a stream's errors were missed, and the radius before each, both `(time,)`."""
    radius = np.full((1, 1), conformal.INITIAL_RADIUS)
    missed, radii = [], []
    for error in noise:
        radii.append(radius[0, 0])
        missed.append(abs(error) > radius[0, 0])
        radius = conformal.update(radius, np.array([[missed[-1]]]), YES, coverage)
    return np.array(missed), np.array(radii)


NOISES = {
    "normal": lambda rng: rng.normal(size=4000),
    "heavy tails": lambda rng: rng.standard_t(2, 4000),
    "tiny": lambda rng: 0.01 * rng.normal(size=4000),
    "growing": lambda rng: rng.normal(size=4000) * np.linspace(0.1, 10, 4000),
    "shifting": lambda rng: rng.normal(size=4000) * np.repeat([1, 20, 0.2, 5], 1000),
}


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("noise", list(NOISES))
def test_coverage_holds(noise: str, coverage: float) -> None:
    """On steady noise and on noise whose scale moves, the fraction inside is the wanted one within 3 %."""
    missed, _ = track(NOISES[noise](np.random.default_rng(0)), coverage)

    assert 1 - missed[500:].mean() == pytest.approx(coverage, abs=0.03)


def test_the_radius_finds_the_quantile() -> None:
    """On normal noise, 90 % coverage means 1.645 deviations."""
    _, radii = track(np.random.default_rng(0).normal(size=6000), 0.9)

    assert np.exp(np.log(radii[1000:]).mean()) == pytest.approx(1.645, rel=0.08)


def test_what_is_not_observed_leaves_the_radius() -> None:
    """No target, no news."""
    radius = np.array([[1.5]])

    assert conformal.update(radius, YES, ~YES, 0.9) == radius


def test_the_radius_has_bounds() -> None:
    """A thousand misses or hits in a row do not lead to infinity or zero."""
    wide = narrow = np.ones((1, 1))
    for _ in range(3000):
        wide, narrow = conformal.update(wide, YES, YES, 0.9), conformal.update(narrow, ~YES, YES, 0.9)

    assert (wide, narrow) == (MAX_RADIUS, MIN_RADIUS)
