"""The verdict on a run: what was acknowledged, lost or applied twice, and whether every bit is the fold's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tests.faults.plans import Plan, fold


@dataclass(frozen=True, slots=True)
class Verdict:
    """One run's row in the table that ``make test-faults`` ends with."""

    acknowledged: int
    lost: int
    applied_twice: int
    #: Streams whose answers and final arrays are bit for bit those of the undisturbed stream, and all streams.
    identical: int
    streams: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def judge(plans: Sequence[Plan], states: Mapping[str, Mapping[str, Any]]) -> Verdict:
    """Hold the answers and final states of plans that were acknowledged whole against their folds."""
    records = {plan.stream_id: int(states[plan.stream_id]["stream.records"]) for plan in plans}
    return Verdict(
        acknowledged=sum(plan.acknowledged for plan in plans),
        lost=sum(max(0, plan.acknowledged - records[plan.stream_id]) for plan in plans),
        applied_twice=sum(max(0, records[plan.stream_id] - len(plan.records)) for plan in plans),
        identical=sum(_is_the_fold(plan, states[plan.stream_id]) for plan in plans),
        streams=len(plans),
    )


def _is_the_fold(plan: Plan, state: Mapping[str, Any]) -> bool:
    answers, arrays = fold(plan)
    if plan.answers != answers or set(state) != set(arrays):
        return False
    return all(np.array_equal(state[name], array, equal_nan=True) for name, array in arrays.items())


__all__ = ["Verdict", "judge"]
