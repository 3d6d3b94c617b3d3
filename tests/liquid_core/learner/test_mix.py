"""The mix: a convex combination of experts that is in the long run as good as the best of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_core.learner.mix import (
    ABSOLUTE,
    EXPERTS,
    FADES,
    FLOOR,
    HEAD_START,
    MAX_ERROR,
    MEDIAN,
    MEMORIES,
    NEAR,
    Mix,
    num_losses,
    shares_in_answer,
)
from liquid_core.types import FloatArray

NUM = len(EXPERTS)


def width(*, values: bool = True) -> int:
    """Of what the mix makes of what experts say."""
    return num_losses(values=values) * (1 + MEMORIES)


def fresh(num_outputs: int = 1, num_streams: int = 1, *, values: bool = True) -> Mix:
    arrays = Mix.arrays(num_outputs, values=values)
    return Mix(**{name: np.zeros((num_streams, *spec.shape), spec.dtype) for name, spec in arrays.items()})


ONE_AHEAD = np.ones(1, dtype=np.int64)


def observe(mix: Mix, target: float, claims: FloatArray, mixed: FloatArray, ahead: int = 1) -> Mix:
    """The mix of one stream's single output after a target."""
    return mix.update(np.array([[target]]), claims, mixed, np.array([[True]]), ahead * ONE_AHEAD)


def run(target: FloatArray, said: FloatArray, ahead: int = 1, *, values: bool = True) -> tuple[Mix, FloatArray]:
    """The mix after targets `(time,)` that experts `(time, experts)` foretold; what it answered, what each memory would
    have, and so of values the median, `(time, width)`."""
    mix, answers = fresh(values=values), np.empty((len(target), width(values=values)))
    for n, y in enumerate(target):
        claims = said[n].reshape(1, NUM, 1)
        mixed = mix.combine(claims)
        answers[n] = mixed[0, :, 0]
        mix = observe(mix, y, claims, mixed, ahead)
    return mix, answers


def shares(mix: Mix) -> FloatArray:
    """The experts' shares in the answer of a single output, `(experts,)`."""
    return shares_in_answer(mix.share, mix.trust)[0, :, 0]


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


def absolute_loss(error: FloatArray) -> FloatArray:
    """The size of an error, which near zero is rounded off."""
    size = np.abs(error)
    return np.where(size < NEAR, size * size / (2 * NEAR), size - NEAR / 2)


def absolute_slope(error: FloatArray) -> FloatArray:
    return np.clip(error / NEAR, -1, 1)


def loss(error: FloatArray) -> FloatArray:
    """What an error costs: half its square, and a little of its size."""
    return np.asarray(error * error / 2 + ABSOLUTE * absolute_loss(error))


def slope(error: FloatArray) -> FloatArray:
    """Of the loss, for errors that are not capped."""
    return np.asarray(error + ABSOLUTE * absolute_slope(error))


def allowed(instant: FloatArray) -> FloatArray:
    """How much worse than any of its arms a polynomially weighted average may be, from the slope of its loss times its
    distance from each arm, `(time, arms)`: of the order of the square root of the squared regrets, however many samples
    there are (the potential argument, with a head start)."""
    memory = FADES[0] ** np.arange(len(instant) - 1, -1, -1)[:, None]
    square = FLOOR + (memory * instant**2).sum(axis=0)
    largest = max((instant**2).max() / FLOOR, 1e-12)
    growth = largest / np.log1p(largest) * np.log(square / FLOOR).sum()
    return np.asarray(np.sqrt(square * (HEAD_START**2 / FLOOR + growth)))


def check_regret(target: FloatArray, said: FloatArray, answers: FloatArray) -> None:
    """The loss of the answer exceeds in sum, faded as the long memory is, neither that of what a memory would say, nor
    that of the naive guess or of an expert, by more than is allowed; nor does the median's absolute loss theirs."""
    everyone = np.concatenate([np.zeros((len(target), 1)), said], axis=1)
    memory = FADES[0] ** np.arange(len(target) - 1, -1, -1)[:, None]
    answer, by_memory, long = answers[:, :1], answers[:, 1:MEDIAN], answers[:, 1:2]
    median, median_by_memory, median_long = (
        answers[:, MEDIAN + at : MEDIAN + to] for at, to in ((0, 1), (1, 3), (1, 2))
    )
    target = target[:, None]
    over_memories = allowed(slope(answer - target) * (answer - by_memory))
    over_experts = over_memories[0] + allowed(slope(long - target) * (long - everyone))
    over_absolute = allowed(absolute_slope(median - target) * (median - median_by_memory))[0]
    over_absolute = over_absolute + allowed(absolute_slope(median_long - target) * (median_long - everyone))

    assert ((memory * (loss(answer - target) - loss(by_memory - target))).sum(axis=0) <= over_memories).all()
    assert ((memory * (loss(answer - target) - loss(everyone - target))).sum(axis=0) <= over_experts).all()
    excess = absolute_loss(median - target) - absolute_loss(everyone - target)
    assert ((memory * excess).sum(axis=0) <= over_absolute).all()


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 1000))
def test_it_is_as_good_as_the_best_expert(seed: int, length: int) -> None:
    """Whatever the experts are worth."""
    rng = np.random.default_rng(seed)
    target = np.clip(0.5 * rng.normal(size=length), -1, 1)
    said = np.clip(experts(rng, target), -2, 2)

    check_regret(target, said, run(target, said)[1])


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 1000))
def test_it_is_so_against_an_adversary(seed: int, length: int) -> None:
    """Who sees the answer first, and sets the target at the far end from it."""
    rng = np.random.default_rng(seed)
    said, mix = rng.uniform(-1, 1, (length, NUM)), fresh()
    target, answers = np.empty(length), np.empty((length, width()))
    for n in range(length):
        claims = said[n].reshape(1, NUM, 1)
        mixed = mix.combine(claims)
        answers[n] = mixed[0, :, 0]
        target[n] = 1.0 if answers[n, 0] < 0 else -1.0
        mix = observe(mix, target[n], claims, mixed)

    check_regret(target, said, answers)


@pytest.mark.parametrize("seed", range(5))
def test_in_the_long_run_next_to_nothing_is_lost(seed: int) -> None:
    """Among useless experts the one good one is found: after two thousand targets the mix errs hardly more."""
    rng = np.random.default_rng(seed)
    target, said = rng.normal(size=4000), rng.normal(size=(4000, NUM))
    said[:, seed % NUM] = target + 0.3 * rng.normal(size=4000)
    _, answers = run(target, said)
    late = slice(2000, None)

    assert np.mean((answers[:, 0] - target)[late] ** 2) < 1.1 * losses(target[late], said[late]).min()


def test_two_that_err_apart_are_better_together() -> None:
    """The mix beats every single one of experts whose errors are independent."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=4000)
    said = target[:, None] + 0.5 * rng.normal(size=(4000, NUM))
    _, answers = run(target, said)
    late = slice(2000, None)

    assert np.mean((answers[:, 0] - target)[late] ** 2) < 0.6 * losses(target[late], said[late]).min()


def test_on_a_random_walk_persistence_has_nearly_everything() -> None:
    """Experts that know nothing lose their shares, however they go on guessing; next to nothing is lost by them."""
    rng = np.random.default_rng(0)
    target, said = rng.normal(size=4000), 0.3 * rng.normal(size=(4000, NUM))
    mix, answers = run(target, said)
    late = slice(2000, None)

    assert shares(mix).sum() < 0.25
    assert np.mean((answers[:, 0] - target)[late] ** 2) < 1.01 * np.mean(target[late] ** 2)


@pytest.mark.parametrize("expert", range(NUM))
def test_an_expert_that_is_right_has_nearly_everything(expert: int) -> None:
    """Whichever it is."""
    rng = np.random.default_rng(0)
    target, said = rng.normal(size=2000), rng.normal(size=(2000, NUM))
    said[:, expert] = target

    assert shares(run(target, said)[0])[expert] > 0.9


def changing_places() -> tuple[FloatArray, FloatArray]:
    """Targets of which two experts know all, in turns of two hundred, and what the mix makes of it."""
    rng = np.random.default_rng(0)
    target, said = rng.normal(size=4000), rng.normal(size=(4000, NUM))
    first = np.arange(4000) % 400 < 200
    said[first, 0], said[~first, 1] = target[first], target[~first]
    _, answers = run(target, said)
    return target, answers


def test_shares_follow_when_experts_change_places() -> None:
    """Time and again: the short memory notices within tens of targets, and is then trusted."""
    target, answers = changing_places()
    error, by_long, by_short = ((answers[:, :MEDIAN] - target[:, None])[2000:] ** 2).mean(axis=0)

    assert error < 0.6 * by_long
    assert error < 1.1 * by_short


def test_where_nothing_changes_the_long_memory_answers() -> None:
    """What the short one takes for better and worse is noise then; it costs next to nothing."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=4000)
    said = target[:, None] + 0.5 * rng.normal(size=(4000, NUM))
    _, answers = run(target, said)
    error, by_long, by_short = ((answers[:, :MEDIAN] - target[:, None])[2000:] ** 2).mean(axis=0)

    assert error < 1.02 * by_long < by_short


def test_where_a_stream_mostly_stands_still_its_few_moves_are_not_all_that_counts() -> None:
    """An expert that is better in the mean square but hardly ever right gets less where absolute errors count, too."""
    rng = np.random.default_rng(0)
    target = np.where(rng.random(4000) < 0.1, rng.normal(1.0, 1.0, 4000), 0.0)
    said = np.zeros((4000, NUM))
    said[:, 1] = 0.2
    (by_both, answers), (by_squares, others) = (run(target, said, values=which) for which in (True, False))

    assert shares(by_both)[1] < 0.7 * shares(by_squares)[1]
    assert np.abs(answers[:, 0] - target).mean() < 0.9 * np.abs(others[:, 0] - target).mean()


@pytest.mark.parametrize("seed", range(3))
def test_the_median_is_right_by_size_and_the_answer_by_squares(seed: int) -> None:
    """Three times of four the stream stands still, else it moves to one side. The naive guess says that it stays, an
    expert how far it moves on the whole: no number is both, so the answer moves and the median stays."""
    rng = np.random.default_rng(seed)
    target = np.where(rng.random(4000) < 0.25, rng.uniform(1.0, 2.0, 4000), 0.0)
    said = np.zeros((4000, NUM))
    said[:, 1] = target.mean()
    _, answers = run(target, said)
    late = slice(2000, None)
    (answer, median), truth = answers[late, [0, MEDIAN]].T, target[late]
    size, median_size = (np.abs(each - truth).mean() for each in (answer, median))
    square, median_square = (((each - truth) ** 2).mean() for each in (answer, median))

    assert np.abs(median).max() < 0.02 < answer.mean()
    assert median_size < 0.9 * size
    assert square < 0.95 * median_square


def test_where_errors_lie_evenly_the_median_is_the_answer() -> None:
    """Of what errs to both sides alike mean and median are one, and so are the shares in the end."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=4000)
    said = rng.normal(size=(4000, NUM))
    said[:, 2] = target + 0.3 * rng.normal(size=4000)
    _, answers = run(target, said)
    late = slice(2000, None)

    assert np.abs(answers[late, MEDIAN] - answers[late, 0]).mean() < 0.1
    assert np.abs(answers[late, MEDIAN] - target[late]).mean() < 1.05 * np.abs(said[late, 2] - target[late]).mean()


def test_the_median_follows_when_experts_change_places() -> None:
    """As the answer does."""
    target, answers = changing_places()
    error, by_long, by_short = np.abs(answers[:, MEDIAN:] - target[:, None])[2000:].mean(axis=0)

    assert error < 0.7 * by_long
    assert error < 1.1 * by_short


def test_probabilities_have_no_median() -> None:
    """Their mix keeps no row for it."""
    rng = np.random.default_rng(0)
    target, said = rng.normal(size=200), rng.normal(size=(200, NUM))
    mix, answers = run(target, said, values=False)

    assert mix.regret.shape[1] == mix.square.shape[1] == mix.share.shape[1] == MEMORIES
    assert answers.shape == (200, MEDIAN)


def test_who_looks_far_ahead_takes_over_later() -> None:
    """Errors of answers that overlap are not so many witnesses."""
    rng = np.random.default_rng(0)
    target, said = rng.normal(size=30), rng.normal(size=(30, NUM))
    said[:, 2] = target
    (soon, _), (later, _) = (run(target, said, ahead=ahead) for ahead in (1, 24))

    assert shares(later)[2] < 0.8 * shares(soon)[2]


def test_a_breakdown_does_not_decide_alone() -> None:
    """One enormous error of the mix teaches no more than one of `MAX_ERROR`."""
    claims, mixed = np.full((1, NUM, 1), 0.5), np.full((1, width(), 1), 0.5)
    wild, limited = (observe(fresh(), 0.5 + distance, claims, mixed) for distance in (1e9, MAX_ERROR))

    np.testing.assert_array_equal(wild.regret, limited.regret)


# --- shares ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.floats(-20, 20), min_size=NUM + 1, max_size=NUM + 1), max_size=30))
def test_shares_are_shares(rows: list[list[float]]) -> None:
    """None is negative, together they are at most one, and the answer lies among the experts' and the naive one."""
    series = np.array(rows).reshape(-1, NUM + 1)
    mix, answers = run(series[:, 0], series[:, 1:])

    assert (mix.share >= 0).all()
    assert (mix.share.sum(axis=2) <= 1 + 1e-12).all()
    assert (mix.trust >= 0).all()
    assert (mix.trust <= 1).all()
    assert (series[:, 1:].min(axis=1, initial=0.0) - 1e-9 <= answers.T).all()
    assert (series[:, 1:].max(axis=1, initial=0.0) + 1e-9 >= answers.T).all()


def test_the_answer_is_what_its_shares_make_of_the_experts() -> None:
    """Those that a user is told."""
    rng = np.random.default_rng(0)
    target, said = rng.normal(size=100), rng.normal(size=(100, NUM))
    said[:, 2] = target
    mix, _ = run(target, said)
    claims = rng.normal(size=NUM)

    np.testing.assert_allclose(mix.combine(claims.reshape(1, NUM, 1))[0, 0, 0], shares(mix) @ claims)


def test_before_the_first_target_the_naive_guess_answers() -> None:
    """Nobody has a share yet."""
    assert not fresh().combine(np.full((1, NUM, 1), 5.0)).any()


FIELDS = ("regret", "square", "share", "trust_regret", "trust_square", "trust")


def test_what_is_not_observed_changes_nothing() -> None:
    """A missing target neither earns nor costs a share; that of another output does."""
    rng = np.random.default_rng(0)
    mix, ahead = fresh(2), np.ones(2, dtype=np.int64)
    for _ in range(20):
        said = rng.normal(size=(1, NUM, 2))
        mix = mix.update(rng.normal(size=(1, 2)), said, mix.combine(said), np.ones((1, 2), dtype=np.bool_), ahead)
    said = rng.normal(size=(1, NUM, 2))
    after = mix.update(np.ones((1, 2)), said, mix.combine(said), np.array([[True, False]]), ahead)

    for name in FIELDS:
        np.testing.assert_array_equal(getattr(after, name)[..., 1], getattr(mix, name)[..., 1])
    for name in ("regret", "square", "share", "trust_regret", "trust_square"):
        assert (getattr(after, name)[..., 0] != getattr(mix, name)[..., 0]).any()


def test_streams_and_outputs_do_not_touch() -> None:
    """Each has the bits that it has alone."""
    rng = np.random.default_rng(0)
    target, said = rng.normal(size=(50, 2, 3)), rng.normal(size=(50, 2, NUM, 3))
    together, ahead = fresh(3, 2), np.array([1, 2, 24])
    for n in range(50):
        mixed = together.combine(said[n])
        together = together.update(target[n], said[n], mixed, np.ones((2, 3), dtype=np.bool_), ahead)

    for stream in range(2):
        for output in range(3):
            alone, _ = run(target[:, stream, output], said[:, stream, :, output], int(ahead[output]))
            for name in FIELDS:
                np.testing.assert_array_equal(
                    getattr(together, name)[stream, ..., output], getattr(alone, name)[0, ..., 0], err_msg=name
                )
