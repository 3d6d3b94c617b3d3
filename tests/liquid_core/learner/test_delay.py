"""The delay: what late targets tell, and what follows for those who learn from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.learner import delay

DELAYS = st.integers(1, 10_000)


@given(st.floats(0.9, 1.0), st.floats(0.0, 1.0))
def test_a_prompt_target_is_learned_from_as_ever(forgetting: float, rate: float) -> None:
    prompt = np.ones(1)

    assert delay.forgetting(forgetting, prompt)[0] == pytest.approx(forgetting, abs=1e-15)
    assert delay.learning_rate(rate, prompt)[0] == rate


@given(st.floats(0.9, 0.99999), DELAYS)
def test_as_many_independent_targets_are_remembered(forgetting: float, late: int) -> None:
    """The memory is so many times as long as the targets tell less each."""
    slower = delay.forgetting(forgetting, np.array([float(late)]))[0]

    assert 1 / (1 - slower) == pytest.approx(late / (1 - forgetting), rel=1e-6)
    assert slower < 1


@given(st.floats(1e-6, 1.0), DELAYS)
def test_steps_get_shorter(rate: float, late: int) -> None:
    here, later = delay.learning_rate(rate, np.array([float(late), late + 1.0]))

    assert rate / late <= here <= rate
    assert later < here


@given(st.lists(st.tuples(DELAYS, st.booleans()), min_size=1, max_size=8))
def test_the_typical_delay_lies_among_those_of_known_targets(targets: list[tuple[int, bool]]) -> None:
    """Nearer to the shortest: the loss counts those for most. One where no target came."""
    delays, known = np.array([targets]).transpose(2, 0, 1)
    found = delay.typical(delays.astype(np.float64), known.astype(bool))[0]
    counted = [late for late, came in targets if came]

    if counted:
        assert min(counted) * (1 - 1e-12) <= found <= np.mean(counted) * (1 + 1e-12)
    else:
        assert found == 1.0
