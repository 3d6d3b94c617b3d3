"""What controls do to a stream: what goes on through them, and what begins anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from liquid_core import ModelSpec, RecordError, StateFormatError, control
from liquid_core.engine import (
    Control,
    Engine,
    Freeze,
    Label,
    Ledger,
    Observation,
    Reset,
    Restore,
    Sample,
    Slab,
    SpecChange,
    Unfreeze,
    Update,
    Verdict,
)
from liquid_core.spec import CfCSpec
from liquid_core.state import StreamState
from liquid_core.types import ByteArray

TASKS = ["forecast", "regression", "classification"]
#: What a stream learns: these stand still while it is frozen.
LEARNED = (
    *("network.weights", "adam.first", "adam.second", "adam.decay1", "readout.weights", "readout.covariance"),
    *("linear.weights", "linear.covariance", "autoregression.weights", "autoregression.covariance"),
    *("mix.regret", "mix.square", "mix.share", "mix.trust_regret", "mix.trust_square", "mix.trust"),
)
#: What it measures: these go on.
MEASURED = ("scaler.mean", "history.mean", "metrics.total", "conformal.radius", "window.hidden")
#: What outlives all controls but those that take over a whole state.
NUMBERS = ("stream.seq", "stream.last_t", "answers.seq", "answers.fingerprint")


def step(engine: Engine, row: ByteArray, records: Sequence[Observation]) -> tuple[ByteArray, Any]:
    slab = Slab(engine.layout)
    slot = slab.load(row)
    results = engine.step(slab, [slot] * len(records), records)
    return slab.read(slot), results


def apply(engine: Engine, row: ByteArray, given: Control, after: Engine | None = None) -> ByteArray:
    return control.apply(given, row, engine, after or engine)


def arrays(engine: Engine, row: ByteArray) -> dict[str, Any]:
    return {name: view[0] for name, view in engine.layout.views(row[None]).items()}


def state_of(engine: Engine, row: ByteArray) -> bytes:
    return StreamState(spec=engine.spec, row=row, numerics=engine.numerics).to_bytes(engine.layout)


def later(records: Sequence[Observation], by_seq: int, by_t: float) -> list[Observation]:
    """The same records of samples with later numbers, at later times."""
    moved: list[Observation] = []
    for record in records:
        if isinstance(record, Sample):
            moved.append(msgspec.structs.replace(record, seq=record.seq + by_seq, t=record.t + by_t))
        else:
            moved.append(msgspec.structs.replace(record, seq=record.seq + by_seq))
    return moved


def samples_only(records: Sequence[Observation]) -> list[Observation]:
    return [record for record in records if isinstance(record, Sample)]


# --- freezing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("cell", ["cfc", "ltc"])
def test_a_frozen_stream_predicts_and_measures_but_does_not_learn(bench: Any, task: str, cell: str) -> None:
    """No weight of network, readout, experts or mix changes; scales, intervals, errors and hidden state do. No update
    is applied, and none counts as undone."""
    engine = bench.engine(task, cell)
    records = bench.records(engine.spec, 1, 40)
    row, _ = step(engine, engine.initial_row(), records[:30])
    before = arrays(engine, row)
    frozen = apply(engine, row, Freeze())
    row, results = step(engine, frozen, records[30:])
    after = arrays(engine, row)

    for name in LEARNED:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    for name in MEASURED:
        assert not np.array_equal(after[name], before[name]), name
    assert (results.update == Update.NONE).all()
    assert (results.surprise >= 0).any()
    assert after["stream.updates"] == before["stream.updates"] > 0
    assert after["stream.skipped"] == before["stream.skipped"]
    assert after["stream.records"] == len(records) + 1


@pytest.mark.parametrize("task", TASKS)
def test_a_drift_alarm_changes_nothing_of_a_frozen_stream(bench: Any, task: str) -> None:
    """Not even how certain the readout is of what it learned."""
    engine = bench.engine(task, "cfc")
    records = bench.records(engine.spec, 2, 60)
    row, _ = step(engine, engine.initial_row(), records[:20])
    before = arrays(engine, row)
    row, results = step(engine, apply(engine, row, Freeze()), records[20:])

    assert results.drift.any()
    np.testing.assert_array_equal(arrays(engine, row)["readout.covariance"], before["readout.covariance"])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("cell", ["cfc", "ltc"])
def test_a_stream_beside_frozen_ones_learns_as_alone(bench: Any, task: str, cell: str) -> None:
    """Every other lane of a batch is frozen: the bits of those that learn are what they are without company."""
    engine = bench.engine(task, cell)
    records = bench.records(engine.spec, 3, 25)
    slab = Slab(engine.layout)
    frozen = apply(engine, engine.initial_row(), Freeze())
    slots = [slab.load(frozen if n % 2 else engine.initial_row()) for n in range(6)]
    for record in records:
        engine.step(slab, slots, [record] * len(slots))
    alone, _ = step(engine, engine.initial_row(), records)
    still, _ = step(engine, frozen, records)

    for n, slot in enumerate(slots):
        np.testing.assert_array_equal(slab.read(slot), still if n % 2 else alone)


def test_an_unfrozen_stream_learns_again(bench: Any) -> None:
    """From the next record on, and nothing remains of having been frozen but what was not learned."""
    engine = bench.engine("forecast", "cfc")
    records = bench.records(engine.spec, 4, 20)
    row, _ = step(engine, engine.initial_row(), records[:10])
    thawed = apply(engine, apply(engine, row, Freeze()), Unfreeze())
    after, results = step(engine, thawed, records[10:])
    untouched, _ = step(engine, row, records[10:])
    engine.layout.views(untouched[None])["stream.records"][...] += 2

    assert (results.update == Update.APPLIED).any()
    np.testing.assert_array_equal(after, untouched)


# --- reset -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_a_reset_stream_is_a_new_one_with_later_numbers(bench: Any, task: str) -> None:
    """It answers the samples after a reset, bit for bit, as a stream that has seen nothing answers them."""
    engine = bench.engine(task, "cfc")
    past, future = bench.records(engine.spec, 5, 30), bench.records(engine.spec, 6, 30)
    row, _ = step(engine, engine.initial_row(), past)
    _, found = step(engine, apply(engine, row, Reset()), later(future, 30, 1e4))
    _, expected = step(engine, engine.initial_row(), later(future, 30, 1e4))

    for name in ("prediction", "median", "half_width", "anomaly", "surprise", "drift", "update"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("task", TASKS)
def test_a_reset_keeps_the_numbers(bench: Any, task: str) -> None:
    """The next sample's number and earliest time, the position in the log, and what is known of given samples; labels
    of samples before it come too late."""
    engine = bench.engine(task, "cfc")
    records = bench.records(engine.spec, 7, 100)
    row, _ = step(engine, engine.initial_row(), records)
    before = arrays(engine, row)
    reset = arrays(engine, apply(engine, row, Reset()))
    ledger = Ledger(engine.spec, reset)

    assert ledger.last_seq == 100
    assert ledger.last_t == before["stream.last_t"] == max(r.t for r in records if isinstance(r, Sample))
    assert reset["stream.records"] == len(records) + 1
    assert reset["stream.samples"] == 0
    assert sorted(reset["answers.seq"]) == sorted(before["answers.seq"])
    repeated = next(record for record in records if record.seq == 60)
    assert isinstance(repeated, Sample)
    assert ledger.admit_sample(repeated.t, repeated.x, 60, repeated.y) == (Verdict.DUPLICATE, repeated)


def test_after_a_reset_the_oldest_answers_are_forgotten_first(bench: Any) -> None:
    """The ring of answers is turned with the count of samples, so the next one takes the place of the oldest."""
    engine = bench.engine("forecast", "cfc")
    row, _ = step(engine, engine.initial_row(), bench.records(engine.spec, 8, 100))
    more = later(bench.records(engine.spec, 9, 10), 100, 1e4)
    row, _ = step(engine, apply(engine, row, Reset()), more)

    assert sorted(arrays(engine, row)["answers.seq"].tolist()) == list(range(47, 111))


def test_labels_from_before_a_reset_come_too_late(bench: Any) -> None:
    """What they would teach has been given up."""
    engine = bench.engine("regression", "cfc")
    row, _ = step(engine, engine.initial_row(), samples_only(bench.records(engine.spec, 7, 9)))
    ledger = Ledger(engine.spec, arrays(engine, apply(engine, row, Reset())))
    with pytest.raises(RecordError, match="arrive within"):
        ledger.admit_label(9, (1.0, 2.0))


# --- restoring -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("cell", ["cfc", "ltc"])
def test_a_rolled_back_stream_answers_as_if_nothing_had_come_since(bench: Any, task: str, cell: str) -> None:
    """Bit for bit: only numbers are spent, and the time between looks like a gap."""
    engine = bench.engine(task, cell)
    records, since = bench.records(engine.spec, 10, 30), bench.records(engine.spec, 11, 20)
    future = later(samples_only(bench.records(engine.spec, 12, 20)), 50, 1e4)
    kept, _ = step(engine, engine.initial_row(), records)
    row, _ = step(engine, kept, later(samples_only(since), 30, 1e3))
    back = apply(engine, row, Restore(state_of(engine, kept), keeps_numbers=True))
    _, found = step(engine, back, future)
    _, expected = step(engine, kept, future)

    for name in ("prediction", "median", "half_width", "anomaly", "surprise", "drift", "update"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    for name in NUMBERS[:2]:
        assert arrays(engine, back)[name] == arrays(engine, row)[name]
    assert set(arrays(engine, back)["answers.seq"].tolist()) == set(arrays(engine, row)["answers.seq"].tolist())


def test_a_frozen_stream_stays_so_through_a_rollback(bench: Any) -> None:
    """Frozen in an emergency, it does not learn from what goes on just because it went back."""
    engine = bench.engine("forecast", "cfc")
    kept, _ = step(engine, engine.initial_row(), bench.records(engine.spec, 13, 10))
    frozen = apply(engine, kept, Freeze())
    for given in (Restore(state_of(engine, kept), keeps_numbers=True), Reset()):
        assert arrays(engine, apply(engine, frozen, given))["stream.frozen"]


def test_a_state_taken_over_brings_its_numbers(bench: Any) -> None:
    """A fork goes on where its origin was, in a log of its own."""
    engine = bench.engine("regression", "cfc")
    origin, _ = step(engine, engine.initial_row(), bench.records(engine.spec, 14, 30))
    fork = apply(engine, engine.initial_row(), Restore(state_of(engine, origin), keeps_numbers=False, origin="pump-7"))
    then, now = arrays(engine, origin), arrays(engine, fork)

    assert now["stream.records"] == 1
    for name in then:
        if name != "stream.records":
            np.testing.assert_array_equal(now[name], then[name], err_msg=name)


def test_a_state_that_does_not_fit_is_refused(bench: Any) -> None:
    """And leaves the row as it was."""
    engine = bench.engine("forecast", "cfc")
    row = engine.initial_row()
    before = row.copy()
    for given in (b"", b"no state", state_of(engine, row)[:-1]):
        with pytest.raises(StateFormatError):
            apply(engine, row, Restore(given, keeps_numbers=True))

    np.testing.assert_array_equal(row, before)


# --- another spec ----------------------------------------------------------------------------------------------------


def tuned(spec: ModelSpec, **learner: Any) -> ModelSpec:
    return msgspec.structs.replace(spec, learner=msgspec.structs.replace(spec.learner, **learner))


def test_a_tuned_stream_keeps_what_it_learned(make_engine: Any, bench: Any) -> None:
    """Another rate, and all that the stream is goes on."""
    engine = bench.engine("forecast", "cfc")
    after = make_engine(tuned(engine.spec, learning_rate=0.1, coverage=0.5))
    row, _ = step(engine, engine.initial_row(), bench.records(engine.spec, 15, 20))
    changed = apply(engine, row, SpecChange(after.spec), after)
    engine.layout.views(changed[None])["stream.records"][...] -= 1

    np.testing.assert_array_equal(changed, row)


def test_another_detector_begins_anew_and_nothing_else_does(make_engine: Any, bench: Any) -> None:
    """Its arrays may have other sizes; what is learned stays."""
    engine = bench.engine("forecast", "cfc")
    after = make_engine(tuned(engine.spec, drift="adwin"))
    row, _ = step(engine, engine.initial_row(), bench.records(engine.spec, 16, 20))
    then, now = arrays(engine, row), arrays(after, apply(engine, row, SpecChange(after.spec), after))

    for name, value in now.items():
        if name.startswith("drift."):
            assert not value.any(), name
        elif name != "stream.records":
            np.testing.assert_array_equal(value, then[name], err_msg=name)


@pytest.mark.parametrize("change", [{"cell": CfCSpec(units=3)}, {"seed": 1}, {"features": ("a", "b", "c")}])
def test_another_network_begins_anew(make_engine: Any, bench: Any, change: dict[str, Any]) -> None:
    """Numbers go on; what was learned would mean nothing there."""
    engine = bench.engine("regression", "cfc")
    after = make_engine(msgspec.structs.replace(engine.spec, **change))
    row, _ = step(engine, engine.initial_row(), bench.records(engine.spec, 17, 100))
    changed = arrays(after, apply(engine, row, SpecChange(after.spec), after))
    fresh = arrays(after, after.initial_row())

    assert Ledger(after.spec, changed).last_seq == 100
    for name in ("answers.prediction", "answers.median"):
        assert sorted(changed[name].tolist()) == sorted(arrays(engine, row)[name].tolist())
    for name in fresh:
        if not name.startswith(("answers.", "stream.")):
            np.testing.assert_array_equal(changed[name], fresh[name], err_msg=name)


def test_answers_about_other_targets_are_not_kept(make_engine: Any, bench: Any) -> None:
    """The samples are known again, for a repeat must stay a repeat; their answers would be in the wrong terms."""
    engine = bench.engine("forecast", "cfc")
    after = make_engine(msgspec.structs.replace(engine.spec, horizon=(1, 2, 5)))
    records = bench.records(engine.spec, 18, 10)
    row, _ = step(engine, engine.initial_row(), records)
    changed = arrays(after, apply(engine, row, SpecChange(after.spec), after))
    last = records[-1]

    assert isinstance(last, Sample)
    assert Ledger(after.spec, changed).admit_sample(last.t, last.x, last.seq, None)[0] is Verdict.DUPLICATE
    assert (changed["answers.half_width"] == control.NOT_KEPT).all()
    assert not changed["answers.median"].any()


def test_the_spec_after_a_control(bench: Any) -> None:
    """A state brings its own; all others but a change leave it."""
    engine = bench.engine("forecast", "cfc")
    other = bench.engine("forecast", "ltc")

    assert control.spec_after(engine.spec, Reset()) == engine.spec
    assert control.spec_after(engine.spec, SpecChange(other.spec)) == other.spec
    restored = Restore(state_of(other, other.initial_row()), keeps_numbers=True)
    assert control.spec_after(engine.spec, restored) == other.spec


def test_labels_given_before_a_rollback_can_be_given_again(bench: Any) -> None:
    """What they taught was undone with the rest."""
    engine = bench.engine("regression", "cfc")
    unlabelled = [msgspec.structs.replace(s, y=None) for s in samples_only(bench.records(engine.spec, 19, 12))]
    kept, _ = step(engine, engine.initial_row(), unlabelled)
    row, _ = step(engine, kept, [Label(seq=12, y=(1.0, 2.0))])
    back = apply(engine, row, Restore(state_of(engine, kept), keeps_numbers=True))

    with pytest.raises(RecordError, match="another label"):
        Ledger(engine.spec, arrays(engine, row)).admit_label(12, (3.0, 4.0))
    assert Ledger(engine.spec, arrays(engine, back)).admit_label(12, (3.0, 4.0))[0] is Verdict.NEW
