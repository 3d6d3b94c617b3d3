"""An upset: what was usual is taken up again when a stream returns, and dropped when it does not."""

from __future__ import annotations

import numpy as np

from liquid_core.learner.upset import (
    CALM,
    CALM_RECORDS,
    CREDIT,
    FIRST,
    LONGEST,
    MOST_CALM,
    REFILL,
    WILD,
    Distance,
    Upset,
    farthest,
)
from liquid_core.types import FloatArray

NOTHING = np.array([-1.0])
USUAL, INFLATED = np.array([[1.0, 2.0]]), np.array([[100.0, 200.0]])


def fresh(num_streams: int = 1) -> Upset:
    arrays = {
        name: np.full((num_streams, *spec.shape), spec.initial, spec.dtype) for name, spec in Upset.arrays(2).items()
    }
    return Upset(**arrays)


def after(
    upset: Upset, *samples: float, labels: float = -1.0, inflated: float | None = None
) -> tuple[Upset, list[bool]]:
    """The upset after samples that lie so far out, each with a label that lies so far out, and where it returned.

    In an upset `inflated` is how far out they lie by the scales that have followed them: within reach, or as far.
    """
    returned = []
    for sample in samples:
        beyond = sample if not upset.age[0] else min(sample, WILD) if inflated is None else inflated
        distances = Distance(np.array([sample]), np.array([beyond])), Distance(np.array([labels]), np.array([labels]))
        upset, returns = upset.judge(*distances, INFLATED if upset.age[0] else USUAL)
        returned.append(bool(returns[0]))
    return upset, returned


def test_what_is_within_reach_upsets_nobody() -> None:
    """However often it comes."""
    upset, returned = after(fresh(), *[WILD] * 100)

    assert upset.age[0] == 0
    assert not any(returned)


def test_a_stream_that_comes_back_is_held_against_what_was_usual_before() -> None:
    """From the first wild value on; then so many calm ones on end, and it has returned."""
    upset, returned = after(fresh(), 1e9, *[CALM] * CALM_RECORDS)

    assert returned == [False] * CALM_RECORDS + [True]
    np.testing.assert_array_equal(upset.kept, USUAL)
    assert upset.age[0] == 0


def test_in_an_upset_the_kept_is_usual_and_else_what_is_now() -> None:
    """What is kept from earlier times does not count any more."""
    upset, _ = after(fresh(), 1e9)
    np.testing.assert_array_equal(upset.usual(INFLATED), USUAL)
    upset, _ = after(upset, *[0.0] * CALM_RECORDS)
    np.testing.assert_array_equal(upset.usual(INFLATED), INFLATED)


def test_a_rough_value_begins_the_count_anew() -> None:
    """It takes calm on end."""
    calm = [0.0] * (CALM_RECORDS - 1)
    _, returned = after(fresh(), 1e9, *calm, CALM + 1, *calm, CALM + 1, *calm)

    assert not any(returned)


def test_where_calm_has_been_broken_it_takes_twice_as_long() -> None:
    """A pump that rests for an hour between its runs has not come back from anything."""
    upset, _ = after(fresh(), 1e9, *[0.0] * 12, 1e9)
    _, returned = after(upset, *[0.0] * 24)

    assert returned == [False] * 23 + [True]


def test_a_stream_comes_back_after_however_long() -> None:
    """What it was like before is not forgotten."""
    upset, returned = after(fresh(), *[1e9] * 10 * LONGEST, *[0.0] * CALM_RECORDS)

    assert returned[-1]
    np.testing.assert_array_equal(upset.kept, USUAL)


def test_a_stream_that_has_changed_may_be_upset_anew() -> None:
    """After a thousand rough samples: then what has become usual since is kept."""
    upset, _ = after(fresh(), *[1e9] * (LONGEST - 1))
    early, _ = after(upset, 1e12, inflated=1e3)
    np.testing.assert_array_equal(early.kept, USUAL)
    upset, _ = after(upset, 1e9, 1e9)
    late, _ = after(upset, 1e12, inflated=1e3)

    np.testing.assert_array_equal(late.kept, INFLATED)
    assert (late.age[0], late.calm[0]) == (1, 0)


def test_a_stream_that_is_mostly_calm_has_not_changed() -> None:
    """However many wild values there are among the calm ones."""
    upset, _ = after(fresh(), *[1e9, 0.0, 0.0] * LONGEST)
    again, _ = after(upset, 1e9, inflated=1e9)

    np.testing.assert_array_equal(again.kept, USUAL)


def test_labels_that_lie_are_not_excused_by_calm_samples() -> None:
    """An upset that began with a label passes by labels; samples without one do not count."""
    upset, _ = after(fresh(), 0.0, labels=1e9)
    upset, returned = after(upset, *[0.0] * 100)
    assert not any(returned)
    _, returned = after(upset, *[0.0] * CALM_RECORDS, labels=0.0)
    assert returned[-1]


def test_where_upsets_come_often_scales_follow_them() -> None:
    """Three returns in a short time; then each takes twice as much calm, until credit has come in again."""
    once = (1e9, *[0.0] * CALM_RECORDS)
    upset, returned = after(fresh(), *once * 5)
    assert sum(returned) == CREDIT
    upset, returned = after(upset, *[0.0] * CALM_RECORDS)
    assert returned == [False] * (CALM_RECORDS - 1) + [True]
    upset, returned = after(upset, 1e9, *[0.0] * 4 * CALM_RECORDS)
    assert returned == [False] * 4 * CALM_RECORDS + [True]
    upset, _ = after(upset, *[0.0] * int(3 / REFILL))
    upset, returned = after(upset, *once)
    assert returned[-1]


def test_a_stream_comes_back_from_whatever_there_was() -> None:
    """Once it is calm for so long."""
    upset = fresh()
    for exponent in range(20):
        upset, _ = after(upset, *[1e9, *[0.0] * min(CALM_RECORDS * 2**exponent, MOST_CALM)])
    _, returned = after(upset, 1e9, *[0.0] * MOST_CALM)

    assert any(returned)


def test_nothing_to_judge_changes_nothing() -> None:
    """A sample without a value neither calms nor ages an upset."""
    upset, _ = after(fresh(), 1e9, 0.0)
    same, _ = after(upset, *[-1.0] * 2 * LONGEST)

    for name in ("age", "calm", "credit", "kept"):
        np.testing.assert_array_equal(getattr(same, name), getattr(upset, name))


# --- distance --------------------------------------------------------------------------------------------------------


def distance(values: list[float], seen: int = FIRST, mean: float = 0.0, variance: float = 1.0) -> FloatArray:
    shape = (1, len(values))
    full = [np.full(shape, number) for number in (mean, variance)]
    return farthest(np.array([values]), np.full(shape, seen), full[0], full[1], np.array([True]))


def test_the_farthest_value_counts() -> None:
    """In deviations, to either side."""
    assert distance([1.0, -6.0, np.nan], mean=2.0, variance=4.0) == 4.0


def test_before_enough_values_were_seen_none_is_wild() -> None:
    """Nothing is usual yet."""
    assert distance([1e9], seen=FIRST - 1) == NOTHING


def test_of_a_constant_nothing_is_said() -> None:
    """Its deviation is no scale."""
    assert distance([1e9], variance=0.0) == NOTHING
    assert distance([1e9], mean=1e9, variance=1e-6) == NOTHING


def test_without_a_value_there_is_no_distance() -> None:
    """Missing, or not there."""
    assert distance([np.nan, np.nan]) == NOTHING
    absent = farthest(np.ones((1, 1)), np.full((1, 1), FIRST), np.zeros((1, 1)), np.ones((1, 1)), np.array([False]))
    assert absent == NOTHING
