"""The naive guess of a label: the mean or the last one, whichever has been closer."""

from __future__ import annotations

import numpy as np

from liquid_core.learner.guess import Guess
from liquid_core.types import FloatArray


def run(labels: FloatArray, delay: int = 0) -> tuple[Guess, FloatArray]:
    """The guess after labels `(time,)` that arrive `delay` samples late, and what was guessed for each."""
    zero = np.zeros((1, 1))
    guess, guessed = Guess(zero, zero), np.zeros(len(labels))
    known: list[tuple[FloatArray, FloatArray]] = []
    yes = np.ones((1, 1), dtype=np.bool_)
    for number in range(len(labels) + delay):
        arrived = labels[: max(0, number - delay)]
        known.append((np.full((1, 1), arrived.mean() if len(arrived) else 0.0), np.full((1, 1), (0.0, *arrived)[-1])))
        if number < len(labels):
            guessed[number] = guess.best(*known[-1])[0, 0]
        if number >= delay:
            asked = number - delay
            there_was_one = yes if asked > delay else ~yes
            guess = guess.update(labels[asked].reshape(1, 1), yes, known[asked], there_was_one, np.full((1, 1), asked))
    return guess, guessed


def test_labels_that_wander_are_guessed_by_the_last() -> None:
    """On a random walk the guess is the last label, after the first few."""
    walk = np.random.default_rng(0).normal(size=300).cumsum()
    _, guessed = run(walk)

    np.testing.assert_array_equal(guessed[20:], walk[19:-1])


def test_labels_that_jump_are_guessed_by_their_mean() -> None:
    """On independent labels the guess is the mean of those so far."""
    dice = np.random.default_rng(1).integers(1, 7, size=300).astype(float)
    _, guessed = run(dice)

    np.testing.assert_allclose(guessed[100], dice[:100].mean())


def test_a_late_label_judges_what_was_known_when_it_was_asked_for() -> None:
    """Ten samples late, the last label of a fast sine is no good, though it is close to the label before it."""
    sine = np.sin(np.arange(400) * 2 * np.pi / 20)
    guess, _ = run(sine, delay=10)

    assert guess.last_error[0, 0] > guess.mean_error[0, 0]
