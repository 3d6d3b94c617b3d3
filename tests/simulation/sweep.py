"""Many seeds: which faults each one gets, and what to do with one that fails."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable

from tests.simulation.checker import violations
from tests.simulation.faults import ALL, Fault
from tests.simulation.world import run

#: What the service does not bear yet; `python -m tests.simulation --faults` shows how it fails.
NOT_BORNE: frozenset[Fault] = frozenset(set())


def faults_of(seed: int, among: Collection[Fault] = ALL - NOT_BORNE) -> frozenset[Fault]:
    """A few kinds of fault for a seed: some defects show only where others do not get in their way."""
    kinds = sorted(among)
    chance = random.Random(f"{seed}/faults")
    return frozenset(chance.sample(kinds, chance.randint(1, min(5, len(kinds)))))


def failures(seeds: Iterable[int]) -> list[str]:
    """For each seed that breaks a promise: what it breaks, and the command that shows the whole history."""
    found = []
    for seed in seeds:
        broken = violations(run(seed, faults_of(seed)).history)
        if broken:
            found.append("\n  ".join([f"python -m tests.simulation --seed {seed}", *broken[:5]]))
    return found


__all__ = ["NOT_BORNE", "failures", "faults_of"]
