"""The mix: a convex combination of experts that is in the long run as good as the best of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_core.learner.mix import EXPERTS, FADE, FLOOR, HEAD_START, MAX_ERROR, Mix
from liquid_core.types import FloatArray

NUM = len(EXPERTS)


def fresh(num_outputs: int = 1, num_streams: int = 1) -> Mix:
    return Mix(
        **{name: np.zeros((num_streams, *spec.shape), spec.dtype) for name, spec in Mix.arrays(num_outputs).items()}
    )


def run(target: FloatArray, said: FloatArray) -> tuple[Mix, FloatArray]:
    """The mix after targets `(time,)` that experts `(time, experts)` foretold, and what it answered, `(time,)`."""
    mix, answers = fresh(), np.empty(len(target))
    for n, y in enumerate(target):
        claims = said[n].reshape(1, NUM, 1)
        mixed = mix.combine(claims)
        answers[n] = mixed[0, 0]
        mix = mix.update(np.array([[y]]), claims, mixed, np.array([[True]]))
    return mix, answers


def losses(target: FloatArray, said: FloatArray) -> FloatArray:
    """Mean square error of the naive guess and of every expert."""
    everyone = np.concatenate([np.zeros((len(target), 1)), said], axis=1)
    return np.asarray(((everyone - target[:, None]) ** 2).mean(axis=0))


def experts(rng: np.random.Generator, target: FloatArray) -> FloatArray:
    """What experts of drawn quality say: the target with noise, nothing of it, its opposite, or a constant."""
    kinds = {
        "good": lambda: target + rng.uniform(0.05, 1.0) * rng.normal(size=len(target)),
        "noise": lambda: rng.normal(size=len(target)),
        "opposite": lambda: -target,
        "constant": lambda: np.full(len(target), rng.uniform(-1, 1)),
        "late": lambda: np.roll(target, 1),
    }
    return np.stack([kinds[str(rng.choice(list(kinds)))]() for _ in range(NUM)], axis=1)


# --- regret ----------------------------------------------------------------------------------------------------------


def excess(target: FloatArray, said: FloatArray, answers: FloatArray) -> tuple[FloatArray, FloatArray]:
    """By how much the mix's squared errors exceed in sum, faded as its memory is, those of the naive guess and of every
    expert; and how much that may be: of the order of the square root of the squared regrets, however many samples there
    are (the potential argument for polynomially weighted averages, with a head start)."""
    everyone = np.concatenate([np.zeros((len(target), 1)), said], axis=1)
    memory = FADE ** np.arange(len(target) - 1, -1, -1)[:, None]
    errors = (answers - target)[:, None]
    worse = (memory * (errors**2 - (everyone - target[:, None]) ** 2)).sum(axis=0)
    instant = errors * (answers[:, None] - everyone)
    square = FLOOR + (memory * instant**2).sum(axis=0)
    largest = (instant**2).max() / FLOOR
    growth = largest / np.log1p(largest) * np.log(square / FLOOR).sum()
    return worse, 2 * np.sqrt(square * (HEAD_START**2 / FLOOR + growth))


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 1000))
def test_it_is_as_good_as_the_best_expert(seed: int, length: int) -> None:
    """Whatever the experts are worth."""
    rng = np.random.default_rng(seed)
    target = np.clip(0.5 * rng.normal(size=length), -1, 1)
    said = np.clip(experts(rng, target), -2, 2)
    _, answers = run(target, said)
    worse, allowed = excess(target, said, answers)

    assert (worse <= allowed).all()


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 1000))
def test_it_is_so_against_an_adversary(seed: int, length: int) -> None:
    """Who sees the answer first, and sets the target at the far end from it."""
    rng = np.random.default_rng(seed)
    said, mix = rng.uniform(-1, 1, (length, NUM)), fresh()
    target, answers = np.empty(length), np.empty(length)
    for n in range(length):
        claims = said[n].reshape(1, NUM, 1)
        mixed = mix.combine(claims)
        answers[n] = mixed[0, 0]
        target[n] = 1.0 if answers[n] < 0 else -1.0
        mix = mix.update(target[n].reshape(1, 1), claims, mixed, np.array([[True]]))
    worse, allowed = excess(target, said, answers)

    assert (worse <= allowed).all()


@pytest.mark.parametrize("seed", range(5))
def test_in_the_long_run_next_to_nothing_is_lost(seed: int) -> None:
    """Among useless experts the one good one is found: after two thousand targets the mix errs hardly more."""
    rng = np.random.default_rng(seed)
    target, said = rng.normal(size=4000), rng.normal(size=(4000, NUM))
    said[:, seed % NUM] = target + 0.3 * rng.normal(size=4000)
    _, answers = run(target, said)
    late = slice(2000, None)

    assert np.mean((answers - target)[late] ** 2) < 1.1 * losses(target[late], said[late]).min()


def test_two_that_err_apart_are_better_together() -> None:
    """The mix beats every single one of experts whose errors are independent."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=4000)
    said = target[:, None] + 0.5 * rng.normal(size=(4000, NUM))
    _, answers = run(target, said)
    late = slice(2000, None)

    assert np.mean((answers - target)[late] ** 2) < 0.6 * losses(target[late], said[late]).min()


def test_on_a_random_walk_persistence_has_nearly_everything() -> None:
    """Experts that know nothing lose their shares, however they go on guessing; next to nothing is lost by them."""
    rng = np.random.default_rng(0)
    target, said = rng.normal(size=4000), 0.3 * rng.normal(size=(4000, NUM))
    mix, answers = run(target, said)
    late = slice(2000, None)

    assert mix.share.sum() < 0.25
    assert np.mean((answers - target)[late] ** 2) < 1.01 * np.mean(target[late] ** 2)


@pytest.mark.parametrize("expert", range(NUM))
def test_an_expert_that_is_right_has_nearly_everything(expert: int) -> None:
    """Whichever it is."""
    rng = np.random.default_rng(0)
    target, said = rng.normal(size=2000), rng.normal(size=(2000, NUM))
    said[:, expert] = target

    assert run(target, said)[0].share[0, expert, 0] > 0.9


def test_shares_follow_when_experts_change_places() -> None:
    """After a regime change the one that is right now takes over from the one that was."""
    rng = np.random.default_rng(0)
    target, said = rng.normal(size=4000), rng.normal(size=(4000, NUM))
    said[:1000, 0], said[1000:, 1] = target[:1000], target[1000:]
    _, answers = run(target, said)

    assert np.mean((answers - target)[3000:] ** 2) < 0.1


def test_a_breakdown_does_not_decide_alone() -> None:
    """One enormous error of the mix teaches no more than one of `MAX_ERROR`."""
    claims, mixed = np.full((1, NUM, 1), 0.5), np.array([[0.5]])
    wild, limited = (
        fresh().update(np.array([[0.5 + distance]]), claims, mixed, np.array([[True]])) for distance in (1e9, MAX_ERROR)
    )

    np.testing.assert_array_equal(wild.regret, limited.regret)


# --- shares ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.floats(-20, 20), min_size=NUM + 1, max_size=NUM + 1), max_size=30))
def test_shares_are_shares(rows: list[list[float]]) -> None:
    """None is negative, together they are at most one, and the answer lies among the experts' and the naive one."""
    series = np.array(rows).reshape(-1, NUM + 1)
    mix, answers = run(series[:, 0], series[:, 1:])

    assert (mix.share >= 0).all()
    assert mix.share.sum() <= 1 + 1e-12
    assert (answers >= series[:, 1:].min(axis=1, initial=0.0) - 1e-9).all()
    assert (answers <= series[:, 1:].max(axis=1, initial=0.0) + 1e-9).all()


def test_before_the_first_target_the_naive_guess_answers() -> None:
    """Nobody has a share yet."""
    assert fresh().combine(np.full((1, NUM, 1), 5.0))[0, 0] == 0.0


def test_what_is_not_observed_changes_nothing() -> None:
    """A missing target neither earns nor costs a share; that of another output does."""
    rng = np.random.default_rng(0)
    mix = fresh(2)
    for _ in range(20):
        said = rng.normal(size=(1, NUM, 2))
        mix = mix.update(rng.normal(size=(1, 2)), said, mix.combine(said), np.ones((1, 2), dtype=np.bool_))
    said = rng.normal(size=(1, NUM, 2))
    after = mix.update(np.ones((1, 2)), said, mix.combine(said), np.array([[True, False]]))

    for name in ("regret", "square", "share"):
        np.testing.assert_array_equal(getattr(after, name)[..., 1], getattr(mix, name)[..., 1])
        assert (getattr(after, name)[..., 0] != getattr(mix, name)[..., 0]).any()


def test_streams_and_outputs_do_not_touch() -> None:
    """Each has the bits that it has alone."""
    rng = np.random.default_rng(0)
    target, said = rng.normal(size=(50, 2, 3)), rng.normal(size=(50, 2, NUM, 3))
    together = fresh(3, 2)
    for n in range(50):
        mixed = together.combine(said[n])
        together = together.update(target[n], said[n], mixed, np.ones((2, 3), dtype=np.bool_))

    for stream in range(2):
        for output in range(3):
            alone, _ = run(target[:, stream, output], said[:, stream, :, output])
            np.testing.assert_array_equal(together.share[stream, :, output], alone.share[0, :, 0])
            np.testing.assert_array_equal(together.regret[stream, :, output], alone.regret[0, :, 0])
