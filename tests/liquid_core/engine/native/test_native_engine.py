"""What the native engine takes, refuses and says of itself."""

from __future__ import annotations

import numpy as np
import pytest

from liquid_core import ModelSpec
from liquid_core.engine import Label, NativeEngine, Sample, Slab, TorchEngine, build_engine, native_status
from liquid_core.engine.admission import fingerprint
from liquid_core.engine.native.status import ISA_VARIABLE, load_kernels
from liquid_core.errors import EngineUnavailableError
from liquid_core.spec import AutoNCPSpec, CfCSpec, LearnerSpec, LTCSpec

from .conftest import arrays, fold

SPEC = ModelSpec(task="regression", features=("a", "b"), targets=("u",), cell=CfCSpec(units=4, backbone_units=4))


def test_it_is_the_engine_by_default() -> None:
    """Where kernels were built, a spec that they know runs on them; numbers and layout are the reference's."""
    engine = build_engine(SPEC)

    assert isinstance(engine, NativeEngine)
    assert isinstance(build_engine(SPEC, "torch"), TorchEngine)
    assert engine.layout.fields == TorchEngine(SPEC).layout.fields
    np.testing.assert_array_equal(engine.initial_row(), TorchEngine(SPEC).initial_row())
    assert engine.num_params == TorchEngine(SPEC).num_params


def test_what_has_no_kernel_runs_on_torch() -> None:
    """Mixed memory: silently where the engine is free to choose, with a word where it was named."""
    spec = ModelSpec(task="forecast", features=("a",), cell=CfCSpec(units=4, backbone_units=4, mixed_memory=True))

    assert build_engine(spec).name == "torch"
    with pytest.raises(EngineUnavailableError, match="no native kernels for MixedMemory"):
        build_engine(spec, "native")


def test_a_spec_that_would_take_too_much_memory_runs_on_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window's trace is bounded, and is refused before it is taken."""
    monkeypatch.setattr("liquid_core.engine.native.engine.MAX_WORKSPACE_BYTES", 1 << 20)
    spec = ModelSpec(
        task="forecast",
        features=("a",),
        cell=LTCSpec(ode_unfolds=16),
        wiring=AutoNCPSpec(units=64),
        learner=LearnerSpec(window=64),
    )

    assert build_engine(spec).name == "torch"
    with pytest.raises(EngineUnavailableError, match="more than 1 MiB of working memory"):
        NativeEngine(spec)


def test_only_what_the_wiring_leaves_is_stored() -> None:
    """Weights and both moments: as many as there are effective parameters, and no more."""
    spec = ModelSpec(task="forecast", features=("a",), cell="ltc")
    engine = NativeEngine(spec)
    stream = arrays(engine, engine.initial_row())
    effective = engine.network.cell.effective_parameter_count

    assert {stream[name].size for name in ("network.weights", "adam.first", "adam.second")} == {effective}
    assert engine.bytes_per_stream == engine.layout.row_bytes


def test_the_snapshot_says_which_kernels_made_it() -> None:
    """Instruction set, type and compiler decide last bits."""
    engine = NativeEngine(SPEC)

    assert engine.numerics.startswith(f"native {native_status().isa} float32")
    assert engine.numerics != NativeEngine(SPEC, np.float64).numerics


def test_an_instruction_set_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any that this processor runs; another one is refused with those that there are."""
    for isa in load_kernels().supported():
        monkeypatch.setenv(ISA_VARIABLE, isa)
        assert native_status().isa == NativeEngine(SPEC).isa == isa
    monkeypatch.setenv(ISA_VARIABLE, "z80")

    assert not native_status().available
    with pytest.raises(EngineUnavailableError, match="z80 is not among the instruction sets"):
        NativeEngine(SPEC)


@pytest.mark.parametrize("y", [None, (2.5,)])
@pytest.mark.parametrize("x", [(1.0, -2.0), (np.nan, 0.0), (-np.nan, 1e300)])
def test_samples_bear_the_admissions_fingerprint(x: tuple[float, float], y: tuple[float] | None) -> None:
    """The kernels make it anew from the record, and a repeat must be known again."""
    engine = NativeEngine(SPEC)
    sample = Sample(seq=1, t=12.5, x=x, y=y)
    kept = arrays(engine, fold(engine, engine.initial_row(), [sample]))["answers.fingerprint"]

    assert kept[1] == fingerprint(sample)


def test_one_call_may_hold_a_streams_whole_history() -> None:
    """Records of one slot are applied in order, labels among samples."""
    engine = NativeEngine(SPEC, threads=2)
    records = []
    for seq in range(1, 200):
        records.append(Sample(seq=seq, t=float(seq), x=(np.sin(seq), np.cos(seq))))
        records.append(Label(seq=seq, y=(np.sin(seq) + 1,)))
    slab = Slab(engine.layout)
    slot = slab.load(engine.initial_row())
    results = engine.step(slab, [slot] * len(records), records)

    np.testing.assert_array_equal(slab.read(slot), fold(engine, engine.initial_row(), records))
    assert (results.surprise[300:][1::2] >= 0).all()
    assert not results.prediction[1::2].any()


@pytest.mark.parametrize(
    ("slots", "records", "message"),
    [
        ([0], [], "one slot a record"),
        ([99], [Sample(seq=1, t=1.0, x=(0.0, 0.0))], "outside the rows"),
        ([-1], [Sample(seq=1, t=1.0, x=(0.0, 0.0))], "outside the rows"),
        ([0], [Sample(seq=1, t=1.0, x=(0.0,))], "as many numbers as its spec says"),
        ([0], [Label(seq=1, y=(0.0, 1.0))], "as many numbers as its spec says"),
    ],
)
def test_what_does_not_fit_is_refused(slots: list[int], records: list[Sample], message: str) -> None:
    """Before anything is touched: memory is never read or written beyond a row."""
    engine = NativeEngine(SPEC)
    slab = Slab(engine.layout)
    slab.load(engine.initial_row())
    before = slab.rows.copy()
    with pytest.raises(ValueError, match=message):
        engine.step(slab, slots, records)

    np.testing.assert_array_equal(slab.rows, before)


def test_rows_of_another_spec_are_refused() -> None:
    """A slab belongs to one layout."""
    other = NativeEngine(ModelSpec(task="forecast", features=("a",)))
    slab = Slab(other.layout)
    slab.load(other.initial_row())
    with pytest.raises(ValueError, match="not of this spec"):
        NativeEngine(SPEC).step(slab, [0], [Sample(seq=1, t=1.0, x=(0.0, 0.0))])
