"""What parts are made of."""

from __future__ import annotations

import numpy as np

from liquid_core.learner.part import pick, safe_divide


def test_pick_chooses_by_stream() -> None:
    """One flag a stream decides for all of its values, whatever their shape."""
    new, old = np.ones((2, 3, 4)), np.zeros((2, 3, 4))

    assert pick(np.array([True, False]), new, old)[:, 0, 0].tolist() == [1.0, 0.0]
    assert pick(np.array([True, False]), new, old).shape == (2, 3, 4)
    assert pick(np.array([False, True]), np.ones(2), np.zeros(2)).tolist() == [0.0, 1.0]


def test_dividing_by_zero_gives_zero() -> None:
    """No scale, no distance; and no warning on the way."""
    assert safe_divide(np.array([1.0, 6.0, 0.0]), np.array([0.0, 3.0, 0.0])).tolist() == [0.0, 2.0, 0.0]
