"""Recursive least squares: the batch solution, step by step, and a covariance that nothing breaks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core import ModelSpec
from liquid_core.engine import NativeEngine, Sample, Slab, native_status
from liquid_core.learner import rls
from liquid_core.learner.rls import MAX_ERROR, PRIOR
from liquid_core.spec import CfCSpec, LearnerSpec
from liquid_core.types import BoolArray, FloatArray


class Fit(NamedTuple):
    """One linear map, as it was learned."""

    weights: FloatArray
    covariance: FloatArray
    capped: bool


def symmetric(triangle: FloatArray, width: int) -> FloatArray:
    """Upper triangles `(..., triangle)` as full matrices `(..., width, width)`."""
    full = np.zeros((*triangle.shape[:-1], width, width))
    rows, columns = np.triu_indices(width)
    full[..., rows, columns] = full[..., columns, rows] = triangle
    return full


def fresh(num_streams: int, width: int) -> FloatArray:
    """Covariances before the first sample, `(streams, 1, triangle)`."""
    return np.broadcast_to(rls.initial(width), (num_streams, 1, width * (width + 1) // 2)).copy()


def learn(features: FloatArray, targets: FloatArray, forgetting: float, curvature: FloatArray | None = None) -> Fit:
    """One map after samples `(time, features)` with targets `(time,)`."""
    width = features.shape[1]
    covariance, weights, capped = fresh(1, width), np.zeros((1, 1, width)), False
    for n, (seen, target) in enumerate(zip(features, targets, strict=True)):
        bend = np.ones((1, 1)) if curvature is None else curvature[n].reshape(1, 1)
        gains, covariance = rls.gain(covariance, seen[None, None], forgetting, bend)
        weights = rls.update(weights, gains, np.array([[target - weights[0, 0] @ seen]]))
        capped |= bool((np.diagonal(symmetric(covariance[0, 0], width)) >= PRIOR).any())
    return Fit(weights[0, 0], symmetric(covariance[0, 0], width), capped)


# --- what it finds ---------------------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10_000),
    width=st.integers(1, 4),
    length=st.integers(1, 30),
    forgetting=st.sampled_from([0.998, 0.9995, 1.0]),
    curved=st.booleans(),
)
def test_it_is_the_weighted_least_squares_of_all_samples(
    *, seed: int, width: int, length: int, forgetting: float, curved: bool
) -> None:
    """While no variance meets its cap: the closed form over all samples, each weighted by age and curvature, and the
    prior as a penalty on the weights that fades with them."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(1.0, 2.0, (length, width)) * rng.choice([-1.0, 1.0], (length, width))
    targets = features @ rng.uniform(-0.2, 0.2, width) + 0.1 * rng.normal(size=length)
    curvature = rng.uniform(0.8, 1.0, length) if curved else np.ones(length)
    found = learn(features, targets, forgetting, curvature)

    weight = forgetting ** np.arange(length - 1, -1, -1) * curvature
    information = (features.T * weight) @ features + forgetting**length / PRIOR * np.eye(width)
    assert not found.capped
    np.testing.assert_allclose(found.covariance, np.linalg.inv(information), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        found.weights, np.linalg.solve(information, features.T @ (weight * targets)), rtol=1e-9, atol=1e-12
    )


def test_it_follows_a_linear_map_that_drifts() -> None:
    """Weights on a slow random walk are tracked, by far better than by those of all samples alike."""
    rng = np.random.default_rng(0)
    truth = np.cumsum(0.003 * rng.normal(size=(4000, 3)), axis=0)
    features = rng.normal(size=(4000, 3))
    targets = (features * truth).sum(axis=1) + 0.02 * rng.normal(size=4000)
    forgetful, stubborn = (learn(features, targets, forgetting).weights for forgetting in (0.98, 1.0))

    assert np.abs(forgetful - truth[-1]).max() < 0.05
    assert np.abs(forgetful - truth[-1]).max() < 0.3 * np.abs(stubborn - truth[-1]).max()


def test_a_curved_loss_is_a_heavier_sample() -> None:
    """A sample of curvature two teaches as two samples of curvature one do."""
    features, targets = np.array([[1.0, -0.5], [0.3, 2.0], [0.3, 2.0]]), np.array([0.5, -0.2, -0.2])
    twice = learn(features, targets, 1.0)
    heavy = learn(features[:2], targets[:2], 1.0, np.array([1.0, 2.0]))

    np.testing.assert_allclose(heavy.weights, twice.weights, rtol=1e-12)
    np.testing.assert_allclose(heavy.covariance, twice.covariance, rtol=1e-12)


def test_a_wild_error_moves_no_further_than_its_limit() -> None:
    """An outlier pulls like an error of `MAX_ERROR`; no error leaves the weights bit for bit."""
    rng = np.random.default_rng(0)
    weights, gains = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
    wild, limited = (rls.update(weights, gains, np.full((2, 3), error)) for error in (1e9, MAX_ERROR))

    np.testing.assert_array_equal(wild, limited)
    np.testing.assert_array_equal(rls.update(weights, gains, np.zeros((2, 3))), weights)


def test_weights_keep_their_type() -> None:
    """The gain is float64 whatever the weights are."""
    weights = np.zeros((1, 1, 2), dtype=np.float32)

    assert rls.update(weights, np.ones((1, 1, 2)), np.ones((1, 1))).dtype == np.float32


# --- what keeps it sound ---------------------------------------------------------------------------------------------


def test_what_a_stream_never_shows_stays_at_its_prior() -> None:
    """A feature that is always zero: forgetting raises its variance no further than it began; what the others learn is
    what they learn without it."""
    rng = np.random.default_rng(0)
    excited = rng.normal(size=(3000, 2))
    targets = excited @ [0.5, -0.3] + 0.1 * rng.normal(size=3000)
    alone = learn(excited, targets, 0.99)
    beside = learn(np.insert(excited, 1, 0.0, axis=1), targets, 0.99)

    assert beside.covariance[1, 1] == pytest.approx(PRIOR)
    assert not beside.covariance[1, [0, 2]].any()
    np.testing.assert_allclose(beside.covariance[np.ix_([0, 2], [0, 2])], alone.covariance, rtol=1e-12)
    np.testing.assert_allclose(beside.weights, [alone.weights[0], 0.0, alone.weights[1]], rtol=1e-12)


def test_a_feature_that_falls_silent_is_capped_and_leaves_the_others_alone() -> None:
    """Its variance grows back to the prior and stays there, while the others' variances stay as small as they were."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(6000, 3))
    features[1000:, 2] = 0.0
    before = learn(features[:1000], np.zeros(1000), 0.99)
    after = learn(features, np.zeros(6000), 0.99)

    assert before.covariance[2, 2] < 0.05
    assert 0.5 * PRIOR < after.covariance[2, 2] <= PRIOR * (1 + 1e-12)
    assert (np.diagonal(after.covariance)[:2] < 2 * np.diagonal(before.covariance)[:2]).all()


def hostile(n: int, noise: FloatArray) -> FloatArray:
    """Features `(kinds, width)` of sample `n`: of every kind that says little, or too much."""
    one = np.ones_like(noise)
    return np.stack(
        [
            one,  # constant
            noise[0] * np.arange(1, len(noise) + 1),  # collinear
            noise[0] * one + 1e-6 * noise,  # all but collinear
            1e3 * noise,  # huge
            0.0 * noise,  # nothing
            1e-9 * noise,  # next to nothing
            (1e3 if n % 2 else 1e-3) * noise,  # by turns
            noise * (n % 1000 == 0),  # rarely
            np.where(np.arange(len(noise)) == n % len(noise), 5.0, 0.0),  # one at a time
        ]
    )


@pytest.mark.slow
def test_the_covariance_stays_positive_definite() -> None:
    """Through a hundred thousand samples of hostile features, with a short memory, a long one and none that fades; no
    variance exceeds what it began with."""
    rng, width, memories = np.random.default_rng(0), 5, (0.9, 0.9995, 1.0)
    num_kinds = len(hostile(0, np.zeros(width)))
    covariances = {forgetting: fresh(num_kinds, width) for forgetting in memories}
    curvature = np.ones((num_kinds, 1))
    for n in range(100_000 // len(memories)):
        features = hostile(n, rng.normal(size=width))[:, None]
        for forgetting in memories:
            gains, covariances[forgetting] = rls.gain(covariances[forgetting], features, forgetting, curvature)
            assert np.isfinite(gains).all()
        if n % 100 == 0:
            full = symmetric(np.stack(list(covariances.values()))[:, :, 0], width)
            assert (np.linalg.eigvalsh(full)[..., 0] > 0).all(), n
            assert (np.diagonal(full, axis1=2, axis2=3) <= PRIOR * (1 + 1e-9)).all(), n


def test_what_round_off_destroyed_begins_again() -> None:
    """A variance that is not positive, or no number, gives no gain, and the prior; its neighbours go on."""
    seen, curvature = np.full((3, 1, 2), 0.5), np.ones((3, 1))
    covariance = fresh(3, 2)
    covariance[0, 0, 0] = -1.0
    covariance[1] = np.nan
    gains, after = rls.gain(covariance, seen, 0.999, curvature)
    sound_gains, sound_after = rls.gain(fresh(1, 2), seen[:1], 0.999, curvature[:1])

    assert not gains[:2].any()
    np.testing.assert_array_equal(after[:2, 0], [rls.initial(2)] * 2)
    np.testing.assert_array_equal(gains[2:], sound_gains)
    np.testing.assert_array_equal(after[2:], sound_after)


@pytest.mark.parametrize("factor", [1.0, 3.0, 100.0])
def test_doubt_makes_the_next_sample_count_for_more(factor: float) -> None:
    """A covariance that was inflated keeps its shape, and its next gain is larger; its variances stay capped."""
    features = np.random.default_rng(0).normal(size=(51, 3))
    covariance = learn(features[:50], np.zeros(50), 0.99).covariance[np.triu_indices(3)][None, None]
    doubtful = rls.inflate(covariance, np.array([factor]), 3)
    gains, after = (
        rls.gain(given, features[50][None, None], 0.99, np.ones((1, 1)))[which]
        for given, which in ((doubtful, 0), (doubtful, 1))
    )
    before, _ = rls.gain(covariance, features[50][None, None], 0.99, np.ones((1, 1)))

    largest = np.diagonal(symmetric(covariance[0, 0], 3)) * factor
    shrink = np.sqrt(PRIOR / np.maximum(largest, PRIOR))
    expected = symmetric(factor * covariance[0, 0], 3) * np.outer(shrink, shrink)
    np.testing.assert_allclose(symmetric(doubtful[0, 0], 3), expected)
    assert features[50] @ gains[0, 0] >= features[50] @ before[0, 0]
    assert (np.diagonal(symmetric(after[0, 0], 3)) <= PRIOR * (1 + 1e-12)).all()
    assert (np.linalg.eigvalsh(symmetric(after[0, 0], 3)) > 0).all()


# --- over a long life ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not native_status().available, reason="a million samples are too many for the torch engine")
def test_a_million_samples_later_it_is_as_good_as_ever() -> None:
    """Of three features one follows its last value, one is constant, and one is the first again, in float32: all stays
    finite and positive, and the error of the last samples is that of the first ones."""
    spec = ModelSpec(
        task="forecast",
        features=("a", "constant", "copy"),
        targets=("a",),
        cell=CfCSpec(units=2, backbone_layers=0),
        learner=LearnerSpec(window=1, season_window=8, drift="none"),
    )
    engine, chunk, coefficient = NativeEngine(spec, np.float32), 5000, 0.7
    slab = Slab(engine.layout)
    slot, rng, value = slab.load(engine.initial_row()), np.random.default_rng(0), 0.0
    ratios = []
    for start in range(0, 1_000_000, chunk):
        noise, values = rng.normal(size=chunk), np.empty(chunk)
        for n in range(chunk):
            values[n] = value = coefficient * value + noise[n]
        samples = [Sample(seq=start + n + 1, t=float(start + n), x=(x, 3.0, x)) for n, x in enumerate(values.tolist())]
        answers = engine.step(slab, [slot] * chunk, samples).prediction[:, 0]
        assert np.isfinite(answers).all()
        ratios.append(np.sqrt(np.mean((answers[:-1] - values[1:]) ** 2)))  # the noise has a deviation of one

    arrays = engine.layout.views(slab.rows[[slot]])
    assert np.mean(ratios[-20:]) == pytest.approx(1.0, abs=0.02)
    assert max(ratios[1:]) < 1.1
    for part in [name.removesuffix(".covariance") for name in arrays if name.endswith(".covariance")]:
        covariance: FloatArray = arrays[f"{part}.covariance"][0]
        width = arrays[f"{part}.weights"].shape[2]
        positive: BoolArray = np.linalg.eigvalsh(symmetric(covariance, width)) > 0
        assert positive.all(), part
    assert arrays["stream.skipped"][0] == 0
