"""The simulator earns its trust: a service with a guard taken out breaks a promise within a few seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from service.shard.healing import Healer
from service.shard.ownership import Ownership
from service.shard.pipeline import Pipeline
from service.store import Appended, scripts
from tests.simulation.checker import violations
from tests.simulation.faults import Fault
from tests.simulation.world import run

SEEDS = range(150)


def first_violation(faults: Collection[Fault]) -> str | None:
    """Of the first seed that breaks a promise; the text tells which one."""
    return next((found[0] for seed in SEEDS if (found := violations(run(seed, faults).history))), None)


def change_script(patch: pytest.MonkeyPatch, name: str, guard: str, instead: str) -> None:
    """Put something else in the place of a guard in one of the store's scripts."""
    script = getattr(scripts, name)
    text = script.text.replace(guard, instead)
    assert text != script.text, f"{name} has another guard now: {guard}"
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    patch.setattr(scripts, name, replace(script, text=text, sha=sha))


def test_a_store_without_a_fence_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two owners write."""
    for name in ("APPEND", "READ", "TAILS", "RENEW", "SNAPSHOT"):
        change_script(monkeypatch, name, "if token ~= ARGV[i + 1] then", "if false then")

    assert first_violation({Fault.ZOMBIE, Fault.LOST_REPLY})


def test_an_append_that_does_not_look_where_the_log_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was appended, and its answer lost, is appended again."""
    change_script(monkeypatch, "APPEND", "if first == tail + 1 then", "if true then")

    assert first_violation({Fault.LOST_REPLY})


def test_a_snapshot_that_cuts_the_log_too_short_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The older snapshot has no log to go on with."""
    change_script(monkeypatch, "SNAPSHOT", "math.max(1, tail - older)", "math.max(1, tail - position)")

    assert first_violation({Fault.DAMAGED_SNAPSHOT, Fault.CRASH})


def test_calls_that_mean_any_stream_of_a_name_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal or an append comes late, and hits the stream that was made anew.

    A new token after every trouble guards against the same, so it is left out as well.
    """

    async def keep_the_token(_: Ownership) -> None: ...

    monkeypatch.setattr(Ownership, "retake", keep_the_token)
    change_script(monkeypatch, "DELETE", "redis.call('HGET', meta, 'incarnation') ~= ARGV[next_arg + 1]", "false")
    change_script(monkeypatch, "APPEND", "redis.call('HGET', meta, 'incarnation') == ARGV[next_arg]", "true")

    assert first_violation({Fault.RECREATED, Fault.APPLIED_LATER, Fault.CRASH})


def test_a_service_that_does_not_heal_its_store_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store forgot stays forgotten."""

    async def reconcile(_: Healer, streams: Any) -> None:
        for stream in streams:
            stream.doubtful = False

    monkeypatch.setattr(Healer, "reconcile", reconcile)

    assert first_violation({Fault.REWOUND})


def test_a_service_that_answers_without_waiting_for_the_log_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it acknowledged is gone after a crash, or a lost request."""
    append = Pipeline._append_with_retries

    async def hasty(self: Pipeline, appends: Any) -> Any:
        try:
            return await append(self, appends)
        except Exception:
            return [Appended("appended", each.first_position + len(each.entries) - 1) for each in appends]

    monkeypatch.setattr(Pipeline, "_append_with_retries", hasty)

    assert first_violation({Fault.STORE_GONE, Fault.CRASH})
