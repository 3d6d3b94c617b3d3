"""The fold: what a stream must be, from its records alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from liquid_core.engine.engine import Engine, build_engine
from liquid_core.engine.records import Record, Sample
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
        part = records[done:stop]
        results = engine.step(slab, [slot] * len(part), part) if part else None
        for index, record in enumerate(part):
            if isinstance(record, Sample) and results is not None:
                made = answers.predictions(spec, results.prediction[index], results.half_width[index])
                folded.predictions[done + index + 1] = msgspec.to_builtins(made)
        done = stop
        if stop in positions:
            state = StreamState(spec=spec, row=slab.read(slot), numerics=engine.numerics)
            folded.states[stop] = state.to_bytes(engine.layout)
    return folded


__all__ = ["Folded", "engine_of", "fold"]
