"""Scoring from outside: answers meet their targets, beside persistence."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquidstream_client import Prediction, SampleResult
from service.scoring import Scorer, Tally


def answer(seq: int, **predictions: float) -> SampleResult:
    """A forecast's answer: `h1=2.0` says 2.0 one sample ahead."""
    ahead = tuple(Prediction(horizon=int(name[1:]), y=(value,)) for name, value in predictions.items())
    return SampleResult(seq=seq, predictions=ahead)


def test_a_forecast_is_scored_when_its_target_arrives():
    """The answer to sample 1 is about sample 2, and persistence says what sample 1 was."""
    scorer = Scorer([1])
    scorer.observed(1, [10.0])
    scorer.sent(1)
    scorer.answered(answer(1, h1=13.0))
    assert len(scorer.tallies[1]) == 0
    scorer.observed(2, [12.0])
    assert (list(scorer.tallies[1].errors), list(scorer.tallies[1].naive)) == ([1.0], [2.0])


def test_each_horizon_has_its_own_tally():
    """A forecast three ahead waits for the third sample from now."""
    scorer = Scorer([1, 3])
    for seq, value in enumerate([0.0, 1.0, 2.0, 3.0], start=1):
        scorer.observed(seq, [value])
        scorer.sent(seq)
        scorer.answered(answer(seq, h1=value + 1, h3=value))
    assert list(scorer.tallies[1].errors) == [0.0, 0.0, 0.0]
    assert (list(scorer.tallies[3].errors), list(scorer.tallies[3].naive)) == ([3.0], [3.0])


@given(values=st.lists(st.floats(-100, 100), min_size=2, max_size=30), delay=st.integers(0, 5))
def test_it_makes_no_difference_how_late_the_answers_are(values, delay):
    """Answers that come while later samples are on their way are scored like answers that come at once."""

    def score(lag: int) -> list[float]:
        scorer, waiting = Scorer([1, 2]), []
        for seq, value in enumerate(values, start=1):
            scorer.observed(seq, [value])
            scorer.sent(seq)
            waiting.append(answer(seq, h1=value / 2, h2=-value))
            if len(waiting) > lag:
                scorer.answered(waiting.pop(0))
        for late in waiting:
            scorer.answered(late)
        return [*scorer.tallies[1].errors, *scorer.tallies[2].errors, *scorer.tallies[1].naive]

    assert score(delay) == score(0)


def test_a_missing_target_is_not_scored_and_persistence_goes_on_from_the_last_value():
    """A gap in the values is neither an error nor a zero."""
    scorer = Scorer([1])
    for seq, value in enumerate([1.0, None, 4.0], start=1):
        scorer.observed(seq, [value])
        scorer.sent(seq)
        scorer.answered(answer(seq, h1=5.0))
    assert (list(scorer.tallies[1].errors), list(scorer.tallies[1].naive)) == ([1.0], [3.0])


def test_a_late_label_is_joined_by_its_number():
    """Classification is wrong or right; persistence is the last class that was known when the sample went out."""
    scorer = Scorer()
    for seq, guess in ((1, "open"), (2, "shut")):
        scorer.sent(seq)
        scorer.answered(SampleResult(seq=seq, predictions=(Prediction(label=guess),)))
        if seq == 1:
            scorer.observed(1, "open")
    scorer.observed(2, "open")
    assert (list(scorer.tallies[None].errors), list(scorer.tallies[None].naive)) == ([1.0], [0.0])


def test_a_label_that_comes_along_is_scored_against_the_answer():
    """Regression: the answer is about the very sample, and its own label did not help."""
    scorer = Scorer()
    for seq, value in ((1, 5.0), (2, 7.0)):
        scorer.sent(seq)
        scorer.answered(SampleResult(seq=seq, predictions=(Prediction(y=(6.0,)),)))
        scorer.observed(seq, [value])
    assert (list(scorer.tallies[None].errors), list(scorer.tallies[None].naive)) == ([1.0], [2.0])


def test_quarters_and_ratio():
    """The ratio is the last quarter's error beside persistence's on the same targets."""
    tally = Tally()
    for error in (8.0, 8.0, 4.0, 4.0, 4.0, 4.0, 1.0, 1.0):
        tally.add(error, 2.0)
    assert (tally.first_quarter, tally.last_quarter, tally.ratio) == (8.0, 1.0, pytest.approx(0.5))


def test_nothing_scored_is_not_a_number():
    """An empty tally has no error."""
    assert all(math.isnan(value) for value in (*Tally().recent, Tally().first_quarter, Tally().ratio))


def test_drift_events_are_kept_with_their_samples():
    """Events of answers and of labels are both counted."""
    scorer = Scorer([1])
    scorer.sent(1)
    scorer.answered(SampleResult(seq=1, predictions=(), drift="page_hinkley"))
    scorer.drifted(1)
    assert scorer.drift_seqs == [1, 1]
