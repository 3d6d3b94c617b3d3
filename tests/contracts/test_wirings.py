"""Every wiring holds every contract; one that breaks a contract is found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from liquid_core import NCP, AutoNCP, FullyConnected, Random, Wiring
from liquid_core.checks import WIRING_CHECKS, ContractError, check_wiring
from liquid_core.types import IntArray

WIRINGS = [FullyConnected(6, 2), FullyConnected(1), Random(8, 3, 0.4), NCP(5, 4, 3, 3, 2, 4, 2), AutoNCP(16, 4)]


@pytest.mark.parametrize("check", WIRING_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("wiring", WIRINGS, ids=str)
def test_contract(wiring: Wiring, check: Callable[[Wiring], None]) -> None:
    """The contract's own docstring says what it holds."""
    check(wiring)


@dataclass(frozen=True)
class Ring(Wiring):
    """A user's own wiring: each neuron excites the next."""

    kind = "ring"
    units: int
    strength: int = 1
    output_size: int = 1

    def _draw(self, input_size: int) -> tuple[IntArray, IntArray]:
        ring = np.roll(np.eye(self.units, dtype=np.int64), 1, axis=1) * self.strength
        return ring, np.ones((input_size, self.units), dtype=np.int64)


def test_a_users_own_wiring_passes() -> None:
    """A wiring needs no more than its sizes and how to draw it; its config is read back by its kind."""
    check_wiring(Ring(5))


def test_a_broken_wiring_is_found_out() -> None:
    """Synapses are -1, 0 or 1."""
    with pytest.raises(ContractError, match="other numbers than -1, 0 and 1"):
        check_wiring(Ring(5, strength=2))
