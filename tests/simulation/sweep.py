"""Many seeds: which faults each one gets, and what to do with one that fails."""

from __future__ import annotations

import random
from collections.abc import Iterable

from tests.simulation.checker import violations
from tests.simulation.faults import ALL, Fault
from tests.simulation.world import run

#: By these the store forgets what it had acknowledged.
LOSSES = frozenset({Fault.REWOUND, Fault.FAILED_OVER, Fault.EMPTIED})


def faults_of(seed: int) -> frozenset[Fault]:
    """A few kinds of fault for a seed: some defects show only where others do not get in their way."""
    chance = random.Random(f"{seed}/faults")
    faults = frozenset(chance.sample(sorted(ALL), chance.randint(1, 5)))
    # A removal that the store forgets is undone: no server keeps in memory what was removed.
    return faults - {Fault.RECREATED} if faults & LOSSES else faults


def failures(seeds: Iterable[int]) -> list[str]:
    """For each seed that breaks a promise: what it breaks, and the command that shows the whole history."""
    found = []
    for seed in seeds:
        broken = violations(run(seed, faults_of(seed)).history)
        if broken:
            found.append("\n  ".join([f"python -m tests.simulation --seed {seed}", *broken[:5]]))
    return found


__all__ = ["LOSSES", "failures", "faults_of"]
