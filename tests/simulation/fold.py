"""The fold: what a stream must be, from its records alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import Any

import msgspec

from liquid_core import control
from liquid_core.engine.engine import Engine, build_engine
from liquid_core.engine.records import Label, Record, Sample, is_observation
from liquid_core.engine.slab import Slab
from liquid_core.spec import ModelSpec
from liquid_core.state import StreamState
from service.shard import answers


@dataclass(slots=True)
class Folded:
    """What a plain fold over records gives."""

    #: By position of a sample what was predicted, as JSON has it.
    predictions: dict[int, Any] = field(default_factory=dict)
    #: The state file after so many records.
    states: dict[int, bytes] = field(default_factory=dict)


@lru_cache(maxsize=64)
def engine_of(spec: ModelSpec) -> Engine:
    """The engine of a spec; building one takes as long as a hundred steps."""
    return build_engine(spec)


def fold(spec: ModelSpec, records: Sequence[Record], positions: Collection[int]) -> Folded:
    """Apply records one after the other, beside no other stream.

    Parameters
    ----------
    positions
        Where to keep the state.
    """
    engine = engine_of(spec)
    slab = Slab(engine.layout)
    slot = slab.load(engine.initial_row())
    folded = Folded()
    done = 0
    for stop in sorted({*positions, len(records)}):
        for observed, run in groupby(records[done:stop], key=is_observation):
            part = list(run)
            if observed:
                folded.predictions |= _step(spec, slab, slot, part, first=done + 1)
            else:
                for record in part:
                    assert not isinstance(record, Sample | Label)
                    slab.rows[slot] = control.apply(record, slab.read(slot), engine, engine)
            done += len(part)
        if stop in positions:
            state = StreamState(spec=spec, row=slab.read(slot), numerics=engine.numerics)
            folded.states[stop] = state.to_bytes(engine.layout)
    return folded


def _step(spec: ModelSpec, slab: Slab, slot: int, records: Sequence[Any], *, first: int) -> dict[int, Any]:
    """Step samples and labels; what was predicted, by position."""
    results = engine_of(spec).step(slab, [slot] * len(records), records)
    made = answers.predictions_of_many(spec, results.prediction, results.median, results.half_width)
    return {
        position: msgspec.to_builtins(made[index])
        for index, (position, record) in enumerate(enumerate(records, first))
        if isinstance(record, Sample)
    }


__all__ = ["Folded", "engine_of", "fold"]
