"""Engines side by side, and histories with all that may happen to a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from liquid_core import ModelSpec
from liquid_core.engine import Engine, Label, Record, Sample, Slab
from liquid_core.types import ByteArray

#: Time between two samples in usual gaps: none, next to none, the usual, long, and longer than anything.
GAPS = [0.0, 1e-3, 1.0, 1.0, 1.0, 7.0, 1e6]
#: Usual gaps in seconds: such that a day is longer than any season, and such that it has eight of them.
UNITS = [1.0, 10_800.0]


@pytest.fixture(autouse=True)
def _kernels(kernels: None) -> None:
    """All tests here need kernels."""


def history(spec: ModelSpec, seed: int, num_samples: int) -> list[Record]:
    """Samples at irregular times with values missing and outliers, nearly nine of them to a wave; labels at once, late,
    out of order, or never."""
    rng = np.random.default_rng(seed)
    unit = UNITS[seed % len(UNITS)]
    records: list[Record] = []
    waiting: list[int] = []
    t = 0.0
    for seq in range(1, num_samples + 1):
        t += unit * float(rng.choice(GAPS))
        x = np.sin(0.7 * seq + np.arange(spec.num_features)) + 0.3 * rng.normal(size=spec.num_features)
        x[rng.random(spec.num_features) < 0.2] = np.nan
        x[rng.random(spec.num_features) < 0.02] *= 1e4
        y = _label(spec, rng) if spec.task != "forecast" and rng.random() < 0.4 else None
        records.append(Sample(seq=seq, t=t, x=tuple(x.tolist()), y=y))
        if spec.task == "forecast":
            continue
        if y is None:
            waiting.append(seq)
        waiting = [number for number in waiting if number > seq - spec.learner.label_horizon]
        late = [number for number in waiting if rng.random() < 0.3]
        records += [Label(seq=number, y=_label(spec, rng)) for number in reversed(late)]
        waiting = [number for number in waiting if number not in late]
    return records


def _label(spec: ModelSpec, rng: np.random.Generator) -> tuple[float, ...]:
    if spec.task == "classification":
        return (float(rng.integers(len(spec.classes))),)
    size = 3e4 if rng.random() < 0.05 else 3.0
    return tuple((size * rng.normal(size=spec.num_targets)).tolist())


def fold(engine: Engine, row: ByteArray, records: Sequence[Record]) -> ByteArray:
    """A stream's row after records, one call each: never in company."""
    slab = Slab(engine.layout)
    slot = slab.load(row)
    for record in records:
        engine.step(slab, [slot], [record])
    return slab.read(slot)


def arrays(engine: Engine, row: ByteArray) -> dict[str, Any]:
    """A row's arrays by name, without the batch axis."""
    return {name: view[0] for name, view in engine.layout.views(row[None]).items()}
