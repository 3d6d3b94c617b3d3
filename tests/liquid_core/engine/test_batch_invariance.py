"""The same records give the same bits alone, in any batch, lane, order and division into calls, at any thread count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_core import ModelSpec
from liquid_core.engine import Sample, Slab, StepResults
from liquid_core.spec import AutoNCPSpec, CfCSpec, LearnerSpec, LTCSpec, WiredCfCSpec

#: Every cell and every task at least once.
KINDS = [
    ("forecast", "cfc"),
    ("forecast", "ltc"),
    ("regression", "wired_cfc"),
    ("regression", "mixed"),
    ("classification", "ltc"),
    ("classification", "cfc"),
]
SAMPLES, SEEDS = 7, 4
#: Streams that fill a tile, or a group of lanes, and begin another.
LANES = 18


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def alone(bench: Any) -> Any:
    """Streams by kind and seed, each stepped alone: rows after every number of records, and all results."""
    known: dict[tuple[str, str, int], Any] = {}

    def get(task: str, cell: str, seed: int) -> Any:
        if (task, cell, seed) not in known:
            torch.set_num_threads(1)
            engine = bench.engine(task, cell)
            records = bench.records(engine.spec, seed, SAMPLES)
            rows, results = [engine.initial_row()], []
            for record in records:
                row, (result,) = bench.fold(engine, [record], rows[-1])
                rows.append(row)
                results.append(result)
            known[task, cell, seed] = records, rows, results
        return known[task, cell, seed]

    return get


def same(found: StepResults, index: int, expected: StepResults) -> bool:
    """Whether one entry of a batch's results is, bit for bit, that of a record alone."""
    names = ("prediction", "median", "half_width", "anomaly", "surprise", "drift", "update")
    return all(np.array_equal(getattr(found, name)[index], getattr(expected, name)[0]) for name in names)


@pytest.mark.parametrize(("task", "cell"), KINDS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_streams_bits_are_its_own(bench: Any, alone: Any, task: str, cell: str, data: st.DataObject) -> None:
    """Up to twenty streams, more than a tile or a group, interleaved and divided anyhow, equal themselves alone."""
    engine = bench.engine(task, cell)
    seeds = data.draw(st.lists(st.integers(0, SEEDS - 1), min_size=1, max_size=20), label="streams")
    streams = [alone(task, cell, seed) for seed in seeds]
    lengths = [data.draw(st.integers(0, len(records)), label="records") for records, _, _ in streams]
    order = data.draw(st.permutations([index for index, length in enumerate(lengths) for _ in range(length)]))
    calls = data.draw(st.integers(1, 4), label="calls")
    slab = Slab(engine.layout)
    # Strangers between the streams, so that a stream's slot is not its lane.
    slots = []
    for _ in streams:
        for _ in range(data.draw(st.integers(0, 2), label="strangers")):
            slab.load(np.full(engine.layout.row_bytes, 255, dtype=np.uint8))
        slots.append(slab.load(engine.initial_row()))

    torch.set_num_threads(data.draw(st.sampled_from([1, 2]), label="threads"))
    taken = [0] * len(streams)
    for chunk in np.array_split(np.asarray(order, dtype=np.int64), calls):
        batch = []
        for index in chunk:
            batch.append((index, taken[index]))
            taken[index] += 1
        found = engine.step(slab, [slots[i] for i, _ in batch], [streams[i][0][n] for i, n in batch])
        for place, (i, n) in enumerate(batch):
            assert same(found, place, streams[i][2][n])

    for (_, rows, _), slot, length in zip(streams, slots, lengths, strict=True):
        np.testing.assert_array_equal(slab.read(slot), rows[length])


SIZES: dict[str, dict[str, Any]] = {
    "cfc-default": {},
    "cfc-far": {"horizon": tuple(range(1, 8)), "cell": CfCSpec(units=23, backbone_units=9)},
    "cfc-odd": {"cell": CfCSpec(units=13, backbone_units=21, activation="silu")},
    "cfc-gelu": {"cell": CfCSpec(units=9, backbone_units=11, backbone_layers=2, activation="gelu", mode="no_gate")},
    "cfc-pure-mixed": {"cell": CfCSpec(units=7, backbone_units=9, mode="pure", mixed_memory=True)},
    "wired-default": {"cell": WiredCfCSpec()},
    "wired-odd": {"cell": WiredCfCSpec(mixed_memory=True), "wiring": AutoNCPSpec(units=11, outputs=3)},
    "ltc-default": {"cell": LTCSpec()},
    "ltc-odd": {"cell": LTCSpec(ode_unfolds=2, mixed_memory=True), "wiring": AutoNCPSpec(units=13, outputs=3)},
    "ltc-explicit": {"cell": LTCSpec(ode_unfolds=2, constraints="explicit"), "wiring": AutoNCPSpec(units=11)},
}


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_every_lane_gives_the_same_bits(make_engine: Any, size: str, real: type[np.floating[Any]]) -> None:
    """Equal streams side by side stay equal, at sizes that fill vector registers and at sizes that do not."""
    learner = LearnerSpec(window=3, warmup=1, learning_rate=0.02)
    fields = {"horizon": (1, 2)} | SIZES[size]
    spec = ModelSpec(task="forecast", features=("a", "b", "c"), learner=learner, **fields)
    engine = make_engine(spec, real)
    slab = Slab(engine.layout)
    slots = [slab.load(engine.initial_row()) for _ in range(LANES)]
    rng = np.random.default_rng(0)
    for seq in range(1, 7):
        torch.set_num_threads(1 + seq % 2)
        sample = Sample(seq=seq, t=1.3 * seq + 0.2 * (seq % 3), x=tuple(rng.normal(size=3).tolist()))
        engine.step(slab, slots, [sample] * LANES)
    rows = slab.rows[slots]

    np.testing.assert_array_equal(rows, np.broadcast_to(rows[0], rows.shape))
    assert engine.layout.views(rows)["stream.updates"].tolist() == [4] * LANES


@pytest.mark.parametrize("size", ["cfc-default", "wired-default", "ltc-default"])
def test_the_number_of_threads_changes_no_bit(make_engine: Any, size: str) -> None:
    """The default models: tensors that are large enough to be divided among threads, and more streams than threads."""
    spec = ModelSpec(task="forecast", features=("a",), learner=LearnerSpec(warmup=1), **SIZES[size])
    rows = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        engine = make_engine(spec, threads=threads)
        slab = Slab(engine.layout)
        slots = [slab.load(engine.initial_row()) for _ in range(LANES)]
        for seq in range(1, 6):
            samples = [Sample(seq=seq, t=float(seq), x=(float(np.sin(seq + slot)),)) for slot in slots]
            engine.step(slab, slots, samples)
        rows.append(slab.rows[slots])

    np.testing.assert_array_equal(rows[1], rows[0])
    np.testing.assert_array_equal(rows[2], rows[0])


def test_other_rows_are_not_written(bench: Any) -> None:
    """A step writes to the rows of its own streams and to nothing else in the slab."""
    engine = bench.engine("forecast", "cfc")
    slab = Slab(engine.layout)
    slots = [slab.load(np.full(engine.layout.row_bytes, 170, dtype=np.uint8)) for _ in range(3)]
    own = slab.load(engine.initial_row())
    before = slab.rows.copy()
    engine.step(slab, [own], bench.records(engine.spec, 0, 1))

    np.testing.assert_array_equal(slab.rows[slots], before[slots])
    assert (slab.rows[own] != before[own]).any()


def test_no_records_are_no_step(bench: Any) -> None:
    """An empty batch gives empty results."""
    engine = bench.engine("forecast", "cfc")

    assert len(engine.step(Slab(engine.layout), [], []).prediction) == 0
