"""AutoNCP."""

from __future__ import annotations

from typing import Any

import pytest

from liquid_core.errors import WiringError
from liquid_core.wiring import NCP, AutoNCP


@pytest.mark.parametrize(
    ("numbers", "layers", "fans", "synapses"),
    [
        ((8, 1), (5, 2, 1), (2, 1, 2, 1), (9, 8)),
        ((16, 1), (9, 6, 1), (4, 3, 6, 3), (39, 17)),
        ((16, 4), (8, 4, 4), (4, 2, 4, 2), (28, 16)),
        ((32, 1), (19, 12, 1), (9, 6, 12, 6), (138, 37)),
        ((32, 4), (17, 11, 4), (8, 5, 11, 5), (115, 34)),
        ((64, 8), (34, 22, 8), (17, 11, 22, 11), (484, 70)),
        ((128, 8), (72, 48, 8), (36, 24, 48, 24), (1967, 154)),
    ],
)
def test_layers_and_fans_follow_from_the_units(
    numbers: tuple[int, int], layers: tuple[int, ...], fans: tuple[int, ...], synapses: tuple[int, int]
) -> None:
    """Sizes, fans and synapse counts (for 4 inputs) are those of the published table."""
    wiring = AutoNCP(*numbers)
    built = wiring.build(4)

    assert wiring.ncp == NCP(*layers, *fans)
    assert (built.synapse_count, built.sensory_synapse_count) == synapses


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((3, 1), "`units` must be an integer, at least 4"),
        ((8, 0), "`output_size` must be an integer, at least 1"),
        ((8, 6), "`output_size` must be less than `units` - 2.*Raise `units` to 9 or more"),
        ((8, 1, 0.05), r"`sparsity_level` must lie in \[0.1, 1.0\]: got 0.05"),
        ((8, 1, 1.1), "`sparsity_level` must"),
        ((8, 1, 0.5, -1), "`seed` must"),
    ],
)
def test_impossible_numbers_are_refused(numbers: tuple[Any, ...], message: str) -> None:
    """The message names the number, and what would do where that is not plain."""
    with pytest.raises(WiringError, match=message):
        AutoNCP(*numbers)
