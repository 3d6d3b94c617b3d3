"""The limit: in want of time as many requests as are answered soon, else as many as may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.limit import FEWEST, LONGEST_S, MOST, PATIENCE, TICKS, Limit

INTERVAL_S = 0.02


def pass_ticks(
    limit: Limit, count: int, *, lag_s: float = 0.0, per_s: float = 0.0, took_s: float = 0.005, reached: int = 0
) -> None:
    """Ticks of a loop that is always so late and answers so many a second, each after so long."""
    for _ in range(count):
        for _ in range(round(per_s * (INTERVAL_S + lag_s))):
            limit.answered(took_s)
        limit.tick(INTERVAL_S, lag_s, reached)


def test_where_there_is_time_as_many_as_may_be_are_let_in() -> None:
    limit = Limit()
    pass_ticks(limit, 100, per_s=2000, reached=MOST)
    assert limit.now == MOST


def test_in_want_of_time_it_is_what_is_answered_in_a_few_times_the_best_time() -> None:
    """Little's law."""
    limit = Limit()
    pass_ticks(limit, 50, per_s=4000, took_s=0.005)
    pass_ticks(limit, 50, lag_s=0.005, per_s=4000, took_s=0.060, reached=240)
    assert limit.now == pytest.approx(4000 * PATIENCE * 0.005, rel=0.05)


def test_a_late_tick_or_two_are_not_want_of_time() -> None:
    """A snapshot, or a neighbour on the machine."""
    limit = Limit()
    pass_ticks(limit, TICKS, per_s=2000)
    pass_ticks(limit, 2, lag_s=0.007, per_s=2000, reached=MOST)
    assert limit.now == MOST


def test_it_falls_no_further_than_that() -> None:
    """However late the loop is, and however little it answers."""
    limit = Limit()
    pass_ticks(limit, 200, lag_s=1.0, reached=MOST)
    assert limit.now == FEWEST


def test_a_loop_that_is_late_with_little_to_do_lets_all_in() -> None:
    """Others on the machine hold it up: to refuse would help nobody."""
    limit = Limit()
    pass_ticks(limit, 500, lag_s=0.01, per_s=100, reached=MOST // 2 - 1)
    assert limit.now == MOST


def test_it_settles_where_answers_take_as_long_as_they_may() -> None:
    """A server that answers 3,000 a second, whatever is in progress, and is always asked for more."""
    limit = Limit()
    pass_ticks(limit, 50, per_s=1000, took_s=0.004)
    limits = []
    for _ in range(500):
        pass_ticks(limit, 1, lag_s=0.004, per_s=3000, took_s=limit.now / 3000, reached=limit.now)
        limits.append(limit.now)
    assert limits[-100:] == pytest.approx([3000 * PATIENCE * 0.004] * 100, rel=0.05)


def test_what_answers_take_at_best_is_not_forgotten_while_there_is_want_of_time() -> None:
    """Or the limit would let in more and more, the longer it lasts."""
    limit = Limit()
    pass_ticks(limit, 50, per_s=4000, took_s=0.005)
    pass_ticks(limit, 5_000, lag_s=0.005, per_s=4000, took_s=0.060, reached=MOST)
    assert limit.now == pytest.approx(4000 * PATIENCE * 0.005, rel=0.05)


def test_a_store_that_always_takes_its_time_is_given_it() -> None:
    """Up to a bound."""
    limit = Limit()
    pass_ticks(limit, 50, per_s=1000, took_s=0.5)
    pass_ticks(limit, 50, lag_s=0.005, per_s=1000, took_s=0.5, reached=MOST)
    assert limit.now == pytest.approx(1000 * LONGEST_S, rel=0.05)


def test_a_few_quick_answers_do_not_say_what_is_best() -> None:
    """A look at a stream takes less than a sample, and at quiet times nothing else may come."""
    limit = Limit()
    pass_ticks(limit, 50, per_s=1000, took_s=0.03)
    pass_ticks(limit, 10, lag_s=0.0)
    limit.answered(0.0001)
    pass_ticks(limit, 10, lag_s=0.0)
    pass_ticks(limit, 50, lag_s=0.005, per_s=1000, took_s=0.2, reached=MOST)
    assert limit.now == pytest.approx(1000 * PATIENCE * 0.03, rel=0.05)


def test_a_store_that_has_become_slower_is_given_its_time_in_the_end() -> None:
    """What was best before is forgotten as long as the loop is punctual."""
    limit = Limit()
    pass_ticks(limit, 50, per_s=1000, took_s=0.005)
    pass_ticks(limit, 50, lag_s=0.005, per_s=1000, took_s=0.05, reached=MOST)
    assert limit.now == FEWEST
    pass_ticks(limit, 10_000, per_s=1000, took_s=0.05, reached=MOST)
    assert limit.now == MOST


def test_after_a_late_time_all_may_come_again_within_a_second() -> None:
    limit = Limit()
    pass_ticks(limit, 50, lag_s=1.0, reached=MOST)
    pass_ticks(limit, 50, per_s=100)
    assert limit.now == MOST


def test_while_more_is_asked_for_a_punctual_loop_takes_a_little_more_at_a_time() -> None:
    limit = Limit()
    pass_ticks(limit, 50, lag_s=1.0, reached=MOST)
    pass_ticks(limit, TICKS + 50, per_s=2000, took_s=0.005, reached=MOST)
    assert 2 * FEWEST < limit.now < 4 * FEWEST


def test_a_punctual_loop_takes_no_more_where_answers_take_long() -> None:
    """They wait for something else: a queue of their own, or the store."""
    limit = Limit()
    pass_ticks(limit, 50, per_s=2000, took_s=0.002)
    pass_ticks(limit, 50, lag_s=0.01, per_s=2000, took_s=0.03, reached=MOST)
    before = limit.now
    pass_ticks(limit, 100, per_s=2000, took_s=0.03, reached=MOST)
    assert limit.now == before


def test_between_late_and_punctual_nothing_changes() -> None:
    """The loop does as much as it can."""
    limit = Limit()
    pass_ticks(limit, 50, lag_s=1.0, reached=MOST)
    pass_ticks(limit, TICKS, lag_s=0.0015, reached=MOST)
    before = limit.now
    pass_ticks(limit, 100, lag_s=0.0015, reached=MOST)
    assert limit.now == before


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.integers(0, 500), st.floats(0, 60), st.integers(0, 10_000)),
        max_size=60,
    )
)
def test_it_stays_within_its_bounds(ticks: list[tuple[float, int, float, int]]) -> None:
    limit = Limit()
    for lag_s, answers, took_s, reached in ticks:
        for _ in range(answers):
            limit.answered(took_s)
        limit.tick(INTERVAL_S, lag_s, reached)
        assert FEWEST <= limit.now <= MOST
