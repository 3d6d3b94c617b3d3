"""Anomaly scores: one wild target, a run of bad answers and a level that does not return all show, the ordinary not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.learner.anomaly import FLOOR, PRIOR, Anomaly, class_distance, interval_distance
from liquid_core.types import BoolArray, FloatArray

RATE = 1e-3
YES = np.ones((1, 1), dtype=np.bool_)
#: Half-width of a 90 % interval around normal noise, in deviations.
HALF_WIDTH = 1.645


def initial(num_tracks: int = 1, batch: int = 1) -> Anomaly:
    made = {
        name: np.full((batch, *array.shape), array.initial, dtype=array.dtype)
        for name, array in Anomaly.arrays(num_tracks).items()
    }
    return Anomaly(**made)


def run(distances: FloatArray, standings: FloatArray | None = None) -> tuple[FloatArray, Anomaly]:
    """Scores of a stream whose targets lie so far from their answers, and from their mean, both `(time,)`."""
    standings = np.zeros_like(distances) if standings is None else standings
    state, scores = initial(), []
    for n, (distance, standing) in enumerate(zip(distances, standings, strict=True)):
        seen = np.array([[n]])
        score, state = state.update(np.array([distance]), np.array([[standing]]), YES, seen, RATE)
        scores.append(score[0])
    return np.array(scores), state


def noise(count: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=count)


@pytest.mark.parametrize(("distance", "score"), [(0, 0.0), (1, 0.1), (3, 0.5), (10, 0.917)])
def test_a_target_is_measured_in_half_widths(distance: float, score: float) -> None:
    """0.1 at the interval's edge, one half three half-widths out, in a stream that has seen little else."""
    assert run(np.array([float(distance)]))[0][0] == pytest.approx(score, abs=1e-3)


def test_a_single_wild_target_scores_at_once() -> None:
    """And is over at once: the targets after it score as those before."""
    distances = np.abs(noise(1500)) / HALF_WIDTH
    distances[1000] = 30.0
    scores, _ = run(distances, noise(1500))

    assert scores[1000] > 0.98
    assert np.median(scores[1001:1051]) < 0.2


@pytest.mark.parametrize("heavy", [False, True])
def test_a_calm_stream_scores_low(heavy: bool) -> None:
    """Noise, even with heavy tails: half of the scores below 0.2, not one in a hundred above 0.9."""
    values = np.random.default_rng(0).standard_t(2, 6000) if heavy else noise(6000)
    scores, _ = run(np.abs(values) / HALF_WIDTH, noise(6000, seed=1))

    assert np.median(scores) < 0.2
    assert (scores > 0.9).mean() < 0.01


def test_what_is_usual_is_no_anomaly() -> None:
    """Of many targets one always lies far out: the worst of them is held against what the worst usually is."""
    worst = np.abs(noise(100 * 3000)).reshape(3000, 100).max(axis=1) * 3
    scores, state = run(worst)

    assert scores[0] > 0.8
    assert np.median(scores[1000:]) < 0.2
    assert state.square[0, 0] == pytest.approx(np.mean(np.square(worst)), rel=0.1)


def test_a_run_of_bad_answers_shows_between_them_too() -> None:
    """Twice the usual errors for a while: a target that is met exactly scores high in the middle of them."""
    distances = np.abs(noise(2000)) / HALF_WIDTH
    distances[1900:] *= 2.5
    distances[1950] = 0.0
    scores, _ = run(distances)

    assert scores[1950] > 0.5
    assert scores[:1900].max() < 0.5


def test_a_level_that_stays_is_an_anomaly() -> None:
    """Though each value is foretold, three deviations off the mean for long is not where the stream usually is."""
    standings = noise(2000)
    standings[1900:] += 3.0
    scores, _ = run(np.zeros(2000), standings)

    assert scores[1950] > 0.6
    assert np.median(scores[:1900]) < 0.2


def test_one_value_alone_is_not_a_level() -> None:
    """However far it lies out, it counts as ten deviations, a hundredth of which enters."""
    _, before = run(np.zeros(1000), np.zeros(1000))
    _, after = run(np.zeros(1001), np.append(np.zeros(1000), 1e12))

    assert before.level[0, 0] == 0.0
    assert after.level[0, 0] == pytest.approx(0.1)


def test_what_lasts_becomes_usual() -> None:
    """A new level, or noise, is news for some hundreds of targets and then forgotten."""
    scores, _ = run(np.full(6000, 2.0) * np.repeat([0.3, 1.0], 3000), np.repeat([0.0, 3.0], 3000))

    assert scores[3050] > 0.8
    assert scores[-1] < 0.2


def test_a_breath_after_a_long_silence_is_none() -> None:
    """Exact answers for long leave no scale behind: a target inside its interval still scores as one, and after a wild
    one the next is not in a time of surprises."""
    scores, state = run(np.append(np.zeros(20_000), [0.5, 30.0, 0.0]))

    assert (state.square < FLOOR).all()
    assert scores[-3] < 0.1
    assert scores[-2] > 0.98
    assert scores[-1] < 0.5


def test_what_is_not_scored_leaves_what_is_usual() -> None:
    """No answer to hold a target against: -1, but the level is where the value says."""
    before = initial()
    score, after = before.update(np.array([-1.0]), np.array([[2.0]]), YES, np.array([[1]]), RATE)

    assert score[0] == -1.0
    assert after.level[0, 0] == 1.0
    for name in ("count", "square", "recent", "usual"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def test_a_track_without_a_value_stays_and_does_not_count() -> None:
    """A sensor that fell silent at an odd level does not keep the score up; the others' levels do."""
    state = initial(num_tracks=2)
    far = Anomaly(state.count, state.square, state.recent, state.usual, np.array([[9.0, 1.0]]))

    def score(known: BoolArray) -> float:
        found, after = far.update(np.array([0.0]), np.array([[np.nan, 1.0]]), known, np.full((1, 2), 500), RATE)
        assert after.level.tolist() == [[9.0, 1.0]]
        return float(found[0])

    assert score(np.array([[False, True]])) == pytest.approx(0.1)
    assert score(np.array([[False, False]])) == 0.0


def test_streams_do_not_touch_each_other() -> None:
    """A stream in a batch gets what it gets alone."""
    together = initial(batch=2)
    distance, standing = np.array([[0.5, 7.0], [2.0, -1.0], [1.0, 3.0]]), np.array([[0.1, 4.0], [2.0, 0.0], [1.0, 1.0]])
    alone = [run(np.array([d for d in distance[:, lane] if d >= 0]))[0] for lane in range(2)]
    found = []
    for n in range(3):
        known = np.zeros((2, 1), dtype=np.bool_)
        score, together = together.update(distance[n], standing[n][:, None], known, np.full((2, 1), n), RATE)
        found.append(score)

    assert [row[0] for row in found] == alone[0].tolist()
    assert [row[1] for row in found if row[1] >= 0] == alone[1].tolist()
    assert together.count.tolist() == [[PRIOR + 3] * 3, [PRIOR + 2] * 3]


def test_the_worst_target_makes_the_distance() -> None:
    """Of several targets the one that lies farthest out counts; those that were not observed do not."""
    error, half_width = np.array([[1.0, -9.0, 100.0]]), np.array([[1.0, 3.0, 1.0]])

    assert interval_distance(error, half_width, np.array([[True, True, False]]))[0] == 3.0
    assert interval_distance(error, half_width, np.zeros((1, 3), dtype=np.bool_))[0] == -1.0


@pytest.mark.parametrize("probabilities", [(0.5, 0.5), (0.9, 0.1), (0.7, 0.2, 0.06, 0.04)])
def test_right_probabilities_have_a_mean_square_of_one(probabilities: tuple[float, ...]) -> None:
    """Over classes that come as often as they are said to; so a likely class is near and an unlikely one far."""
    share = np.array(probabilities)
    distance = class_distance(share, len(share), np.ones(len(share), dtype=np.bool_))

    assert (share * distance**2).sum() == pytest.approx(1.0)
    assert (np.diff(distance) >= 0).all()


def test_a_class_that_was_ruled_out_is_far_away() -> None:
    """A certain one is at no distance; without a class there is none."""
    assert class_distance(np.array([1.0, 0.0, 0.5]), 2, np.array([True, True, False])).tolist() == [0.0, 1e6, -1.0]


@given(st.lists(st.floats(-1e40, 1e40), min_size=1, max_size=20), st.just(0.0) | st.floats(1e-200, 1e30))
def test_scores_stay_below_one(errors: list[float], half_width: float) -> None:
    """Any errors at all score within [0, 1)."""
    distances = [interval_distance(np.array([[error]]), np.array([[half_width]]), YES)[0] for error in errors]
    scores, state = run(np.array(distances), np.array(errors))

    assert ((scores >= 0) & (scores < 1)).all()
    assert np.isfinite(state.square).all()
