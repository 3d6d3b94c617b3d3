"""Small models of every kind, and series for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pytest

from liquid_core import ModelSpec
from liquid_core.engine import Engine, EngineKind, Label, Record, Sample, Slab, build_engine, native_status
from liquid_core.engine.results import StepResults
from liquid_core.spec import AutoNCPSpec, CfCSpec, LearnerSpec, LTCSpec, PageHinkleySpec, WiredCfCSpec
from liquid_core.types import ByteArray

#: Learns early and fast, and alarms soon: a few steps reach every branch.
LEARNER = LearnerSpec(
    window=4,
    warmup=2,
    learning_rate=0.02,
    label_horizon=5,
    drift=PageHinkleySpec(min_samples=3, threshold=0.5, delta=0.01, mode="both"),
)
NCP = AutoNCPSpec(units=7, outputs=2)
CFC = CfCSpec(units=5, backbone_units=7)
TASKS: dict[str, dict[str, Any]] = {
    "forecast": {"task": "forecast", "horizon": (1, 3)},
    "regression": {"task": "regression", "targets": ("u", "v")},
    "classification": {"task": "classification", "classes": ("red", "green", "blue")},
}
CELLS: dict[str, dict[str, Any]] = {
    "cfc": {"cell": CFC},
    "wired_cfc": {"cell": WiredCfCSpec(), "wiring": NCP},
    "ltc": {"cell": LTCSpec(ode_unfolds=2), "wiring": NCP},
    "mixed": {"cell": CfCSpec(units=5, backbone_units=7, mixed_memory=True)},
}


class MakeEngine(Protocol):
    """Builds the engine that a test is run against."""

    kind: EngineKind

    def __call__(self, spec: ModelSpec, real: type[np.floating[Any]] = np.float32, *, threads: int = 2) -> Engine: ...


class _MakeEngine:
    def __init__(self, kind: EngineKind) -> None:
        self.kind = kind

    def __call__(self, spec: ModelSpec, real: type[np.floating[Any]] = np.float32, *, threads: int = 2) -> Engine:
        if self.kind == "native":
            need_kernels()
            if spec.cell_spec.mixed_memory:
                pytest.skip("mixed memory has no kernels, it runs on the torch engine")
        return build_engine(spec, self.kind, real=real, threads=threads)


def need_kernels() -> None:
    """Skip where no kernels were built; in CI they must be there."""
    status = native_status()
    if not status.available and "CI" not in os.environ:
        pytest.skip(status.reason)


class Bench:
    """Engines by task and cell, and what tests do with them again and again."""

    def __init__(self, make_engine: MakeEngine) -> None:
        self._make_engine = make_engine
        self._engines: dict[tuple[str, str], Engine] = {}

    def spec(self, task: str, cell: str, **fields: Any) -> ModelSpec:
        return ModelSpec(**{"features": ("a", "b"), "learner": LEARNER} | TASKS[task] | CELLS[cell] | fields)

    def engine(self, task: str, cell: str) -> Engine:
        if (task, cell) not in self._engines:
            self._engines[task, cell] = self._make_engine(self.spec(task, cell))
        return self._engines[task, cell]

    def records(self, spec: ModelSpec, seed: int, num_samples: int) -> list[Record]:
        """A series at irregular times, values missing here and there; labels at once, later, out of order or never."""
        rng = np.random.default_rng(seed)
        made: list[Record] = []
        waiting: list[int] = []
        t = 0.0
        for seq in range(1, num_samples + 1):
            t += float(rng.choice([1.0, 1.0, 0.3, 4.0]))
            x = np.sin(0.7 * seq + np.arange(spec.num_features)) + 0.1 * rng.normal(size=spec.num_features)
            x[rng.random(spec.num_features) < 0.15] = np.nan
            y = self.label(spec, rng) if spec.task != "forecast" and rng.random() < 0.5 else None
            made.append(Sample(seq=seq, t=t, x=tuple(x.tolist()), y=y))
            if spec.task != "forecast" and y is None:
                waiting.append(seq)
            late = [seq for seq in waiting if rng.random() < 0.4]
            made += [Label(seq=seq, y=self.label(spec, rng)) for seq in reversed(late)]
            waiting = [seq for seq in waiting if seq not in late and seq > num_samples - 4]
        return made

    @staticmethod
    def label(spec: ModelSpec, rng: np.random.Generator) -> tuple[float, ...]:
        if spec.task == "classification":
            return (float(rng.integers(len(spec.classes))),)
        return tuple(rng.normal(size=spec.num_targets).tolist())

    def fold(
        self, engine: Engine, records: Sequence[Record], row: ByteArray | None = None
    ) -> tuple[ByteArray, list[StepResults]]:
        """A stream's row after records, one call each, and the result of every record."""
        slab = Slab(engine.layout)
        slot = slab.load(engine.initial_row() if row is None else row)
        results = [engine.step(slab, [slot], [record]) for record in records]
        return slab.read(slot), results

    def arrays(self, engine: Engine, row: ByteArray) -> dict[str, Any]:
        """A row's arrays by name, without the batch axis."""
        return {name: view[0] for name, view in engine.layout.views(row[None]).items()}


@pytest.fixture(scope="session", params=["torch", "native"])
def make_engine(request: pytest.FixtureRequest) -> MakeEngine:
    """Builds engines of one kind; every test that asks for it is run against all kinds."""
    return _MakeEngine(request.param)


@pytest.fixture(scope="session")
def bench(make_engine: MakeEngine) -> Bench:
    return Bench(make_engine)


@pytest.fixture(scope="session")
def kernels() -> None:
    """For tests of the native engine alone: skips them where it cannot run."""
    need_kernels()
