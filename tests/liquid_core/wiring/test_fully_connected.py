"""FullyConnected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from liquid_core.errors import WiringError
from liquid_core.wiring import FullyConnected


def test_self_connections_can_be_left_out() -> None:
    """Without self-connections the diagonal is empty and all else is there."""
    adjacency = FullyConnected(5, self_connections=False).build(1).adjacency

    assert (adjacency == 0).sum() == 5
    assert (np.diag(adjacency) == 0).all()


def test_two_synapses_of_three_excite() -> None:
    """A synapse is excitatory with probability 2/3."""
    adjacency = FullyConnected(100).build(1).adjacency

    assert (adjacency == 1).mean() == pytest.approx(2 / 3, abs=0.02)


@pytest.mark.parametrize(
    ("numbers", "field"),
    [
        ((0,), "units"),
        ((4, 5), "output_dim"),
        ((4, 0), "output_dim"),
        ((4, 2, -1), "erev_init_seed"),
        ((2.5,), "units"),
    ],
)
def test_impossible_numbers_are_refused(numbers: tuple[Any, ...], field: str) -> None:
    """The message names the number."""
    with pytest.raises(WiringError, match=f"`{field}` must be an integer"):
        FullyConnected(*numbers)
