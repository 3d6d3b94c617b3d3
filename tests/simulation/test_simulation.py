"""Thousands of histories of the real host under simulated faults, and each keeps every promise."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.faults import ALL, Fault
from tests.simulation.sweep import failures
from tests.simulation.world import run

ROOT = Path(__file__).parents[2]
#: Seeds in one test: about as many as a worker plays in ten seconds.
BLOCK = 50
BLOCKS = 40


@pytest.mark.parametrize("first", range(0, BLOCK * BLOCKS, BLOCK))
def test_no_seed_breaks_a_promise(first: int) -> None:
    """A seed that does is printed with the command that plays it again and tells what happens in it."""
    assert not (found := failures(range(first, first + BLOCK))), "\n".join(found)


def test_faults_are_not_only_drawn_but_happen() -> None:
    """The histories are worth checking: crashes, zombies, refusals, repeats and removals are all in them."""
    traces, repeats, removals, refused = [], 0, 0, 0
    for seed in range(10):
        played = run(seed, [Fault.CRASH, Fault.ZOMBIE, Fault.STORE_PAUSED, Fault.LOST_REPLY, Fault.RECREATED])
        traces += [what for _, _, what in played.trace.lines]
        repeats += sum(ack.duplicate for ack in played.history.acks)
        removals += len(played.history.removals)
        refused += len(played.history.told)

    text = "\n".join(traces)
    for event in (
        "fault: crash",
        "fault: zombie",
        "fault: store-paused",
        "append_unknown",
        "fenced",
        "server 2 serves",
    ):
        assert event in text, event
    assert min(repeats, removals, refused) > 0


def test_a_seed_is_one_history() -> None:
    """Another process, with other hashes of strings, plays the same events at the same moments."""
    outputs = {
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "11", "--faults", "all"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hashes},
            stdout=subprocess.PIPE,
            check=False,
        ).stdout
        for hashes in ("1", "2")
    }

    (output,) = outputs
    assert len(output.splitlines()) > 50


def test_another_seed_is_another_history() -> None:
    """And another choice of faults leaves the plans as they are."""
    digests = [_digest(seed, faults) for seed, faults in ((1, ()), (2, ()), (1, ALL))]

    assert digests[0][0] != digests[1][0]
    assert digests[0][1] == digests[2][1]


def _digest(seed: int, faults: frozenset[Fault] | tuple[()]) -> tuple[str, str]:
    history = run(seed, faults).history
    first = history.sent["s0"][3:7]
    return hashlib.sha256(repr(history.acks).encode()).hexdigest(), repr(first)
