"""Random."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_core.errors import WiringError
from liquid_core.wiring import Random


@given(st.integers(1, 20), st.integers(1, 6), st.floats(0.0, 0.99), st.integers(0, 2**32 - 1))
def test_the_number_of_synapses_is_exact(units: int, inputs: int, sparsity: float, seed: int) -> None:
    """A fraction 1 - sparsity of the pairs is connected, rounded, among neurons and from inputs alike."""
    built = Random(units, None, sparsity, seed).build(inputs)

    assert built.synapse_count == round(units * units * (1 - sparsity))
    assert built.sensory_synapse_count == round(inputs * units * (1 - sparsity))


@pytest.mark.parametrize(
    ("numbers", "field"),
    [((0,), "units"), ((4, 5), "output_dim"), ((4, 2, 1.0), "sparsity_level"), ((4, 2, 0.5, -1), "random_seed")],
)
def test_impossible_numbers_are_refused(numbers: tuple[Any, ...], field: str) -> None:
    """The message names the number."""
    with pytest.raises(WiringError, match=f"`{field}` must"):
        Random(*numbers)
