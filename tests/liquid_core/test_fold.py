"""A stream is the fold of its records: samples, labels and controls in any order, divided anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_core import ModelSpec
from liquid_core.engine import (
    Engine,
    Freeze,
    Label,
    Observation,
    Record,
    Reset,
    Restore,
    Sample,
    SpecChange,
    Unfreeze,
)
from liquid_core.fold import fold
from liquid_core.state import StreamState
from liquid_core.types import ByteArray


class History:
    """Draws a stream's records one by one, each admissible after those before it."""

    def __init__(self, bench: Any, engine_of: Callable[[ModelSpec], Engine], spec: ModelSpec) -> None:
        self._bench, self.engine_of = bench, engine_of
        self.specs = self._family(spec)
        self.engine = self.engine_of(spec)
        self.row = self.engine.initial_row()
        self.records: list[Record] = []
        #: States that the stream has been in, by how many records it had.
        self.states: list[tuple[Engine, ByteArray]] = [(self.engine, self.row)]
        self._rng = np.random.default_rng(0)
        self._unlabelled: list[int] = []
        self._seq, self._t = 0, 0.0

    @staticmethod
    def _family(spec: ModelSpec) -> list[ModelSpec]:
        """The spec, one of other rates, one with another detector, and one of another network."""
        learner = msgspec.structs.replace(spec.learner, learning_rate=0.3, forgetting=0.95)
        watched = msgspec.structs.replace(spec.learner, drift="window_test")
        return [
            spec,
            msgspec.structs.replace(spec, learner=learner),
            msgspec.structs.replace(spec, learner=watched),
            msgspec.structs.replace(spec, seed=7, features=(*spec.features, "c")),
        ]

    def next(self, kind: str, choice: int) -> None:
        record = self._make(kind, choice)
        self.records.append(record)
        self.engine, self.row = fold(self.engine, self.row, [record], self.engine_of)
        self.states.append((self.engine, self.row))

    def _make(self, kind: str, choice: int) -> Record:
        if kind == "restore":
            engine, row = self.states[choice % len(self.states)]
            state = StreamState(spec=engine.spec, row=row, numerics=engine.numerics).to_bytes(engine.layout)
            self._unlabelled.clear()
            return Restore(state, keeps_numbers=True)
        if kind == "spec":
            self._unlabelled.clear()
            return SpecChange(self.specs[choice % len(self.specs)])
        if kind == "reset":
            self._unlabelled.clear()
            return Reset()
        if kind in ("freeze", "unfreeze"):
            return Freeze() if kind == "freeze" else Unfreeze()
        return self._observation(late_label=kind == "label")

    def _observation(self, *, late_label: bool) -> Observation:
        spec, rng = self.engine.spec, self._rng
        if late_label and self._unlabelled:
            return Label(seq=self._unlabelled.pop(), y=self._bench.label(spec, rng))
        self._seq += 1
        self._t += float(rng.choice([1.0, 1.0, 0.3, 4.0]))
        x = np.where(rng.random(spec.num_features) < 0.1, np.nan, rng.normal(size=spec.num_features))
        y = self._bench.label(spec, rng) if spec.task != "forecast" and rng.random() < 0.5 else None
        if spec.task != "forecast" and y is None:
            self._unlabelled = [*self._unlabelled, self._seq][-spec.learner.label_horizon :]
            self._unlabelled = [seq for seq in self._unlabelled if seq > self._seq - spec.learner.label_horizon]
        return Sample(seq=self._seq, t=self._t, x=tuple(x.tolist()), y=y)


@pytest.fixture(scope="module")
def engine_of(make_engine: Any) -> Callable[[ModelSpec], Engine]:
    """Engines by spec, each built once."""
    known: dict[str, Engine] = {}

    def get(spec: ModelSpec) -> Engine:
        if spec.digest not in known:
            known[spec.digest] = make_engine(spec, threads=1)
        return known[spec.digest]

    return get


KINDS = st.sampled_from([*["sample"] * 8, *["label"] * 3, "reset", "freeze", "unfreeze", "restore", "spec"])


@pytest.mark.parametrize("task", ["forecast", "regression", "classification"])
@pytest.mark.parametrize("cell", ["cfc", "ltc"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(KINDS, st.integers(0, 99)), min_size=5, max_size=30), data=st.data())
def test_snapshot_and_replay_give_the_same_bits(
    bench: Any, engine_of: Any, task: str, cell: str, steps: list[tuple[str, int]], data: st.DataObject
) -> None:
    """From any prefix, written out as a snapshot and read again, the rest of the records leads to the same row: under
    the same spec, with the same number of records."""
    history = History(bench, engine_of, bench.spec(task, cell))
    for kind, choice in steps:
        history.next(kind, choice)
    prefix = data.draw(st.integers(0, len(steps)), label="records in the snapshot")
    engine, row = history.states[prefix]
    blob = StreamState(spec=engine.spec, row=row, numerics=engine.numerics).to_bytes(engine.layout)
    state = StreamState.from_bytes(blob, engine.layout, engine.spec)
    found, replayed = fold(engine, state.row, history.records[prefix:], history.engine_of)

    assert found.spec == history.engine.spec
    np.testing.assert_array_equal(replayed, history.row)
    assert found.layout.views(replayed[None])["stream.records"][0] == len(steps)
    for name, view in found.layout.views(replayed[None]).items():
        assert view.dtype.kind != "f" or np.isfinite(view).all(), name
