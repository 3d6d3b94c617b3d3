"""Admission: what a stream may be given next, and that a ledger rebuilt from its row says the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from liquid_core import ModelSpec, RecordError
from liquid_core.engine import Engine, Label, Ledger, Record, Sample, Slab, Verdict, build_engine
from liquid_core.engine.admission import MAX_SEQ, MAX_TIME, MAX_VALUE, fingerprint
from liquid_core.engine.anatomy import ANSWERS_KEPT
from liquid_core.spec import CfCSpec, LearnerSpec

NAN = float("nan")
LABEL_HORIZON = 3
TASKS: dict[str, dict[str, Any]] = {
    "forecast": {"task": "forecast"},
    "regression": {"task": "regression", "targets": ("u", "v")},
    "classification": {"task": "classification", "classes": ("no", "yes")},
}


def spec_for(task: str, **fields: Any) -> ModelSpec:
    return ModelSpec(
        features=("a", "b"),
        cell=CfCSpec(units=1, backbone_units=1),
        learner=LearnerSpec(window=1, warmup=0, label_horizon=LABEL_HORIZON),
        **TASKS[task],
        **fields,
    )


class Stream:
    """A stream in a slab of its own, with its ledger; what is admitted is stepped."""

    def __init__(self, spec: ModelSpec, engine: Engine | None = None) -> None:
        self.spec = spec
        self.engine = engine or build_engine(spec)
        self.slab = Slab(self.engine.layout)
        self.slot = self.slab.load(self.engine.initial_row())
        self.ledger = self.rebuilt()

    def rebuilt(self) -> Ledger:
        views = self.engine.layout.views(self.slab.read(self.slot)[None])
        return Ledger(self.spec, {name: view[0] for name, view in views.items()})

    def step(self, record: Record) -> None:
        self.engine.step(self.slab, [self.slot], [record])

    def sample(self, t: float, seq: int | None = None, x: tuple[float, ...] = (1.0, 2.0), y: Any = None) -> Verdict:
        verdict, record = self.ledger.admit_sample(t, x, seq, y)
        if verdict is Verdict.NEW:
            self.step(record)
        return verdict

    def label(self, seq: int, y: tuple[float, ...]) -> Verdict:
        verdict, record = self.ledger.admit_label(seq, y)
        if verdict is Verdict.NEW:
            self.step(record)
        return verdict


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(RecordError) as caught:
        yield
    assert caught.value.code == code


# --- samples, one rule at a time -------------------------------------------------------------------------------------


def test_samples_are_numbered_by_themselves() -> None:
    """Without a `seq` a sample gets the next number."""
    ledger = Stream(spec_for("forecast")).ledger

    assert [ledger.admit_sample(t, (0.0, 0.0), None, None)[1].seq for t in (1.0, 2.0, 3.0)] == [1, 2, 3]


def test_a_repeated_sample_is_a_duplicate() -> None:
    """The same number with the same content, `null` and label included: answer again, change nothing."""
    stream = Stream(spec_for("regression"))
    stream.sample(1.0, 1, (NAN, 2.0), (1.0, 2.0))

    assert stream.sample(1.0, 1, (NAN, 2.0), (1.0, 2.0)) is Verdict.DUPLICATE
    assert stream.ledger.last_seq == 1


@pytest.mark.parametrize(
    "other", [{"t": 1.5}, {"x": (1.0, 2.1)}, {"x": (1.0, NAN)}, {"x": (2.0, 1.0)}, {"y": (0.0, 1.0)}, {"y": (0.0, 0.0)}]
)
def test_another_sample_of_the_same_number_is_a_conflict(other: dict[str, Any]) -> None:
    """Anything else under a number that was given is refused."""
    stream = Stream(spec_for("regression"))
    stream.sample(t=1.0, seq=1)

    with refused("seq_conflict"):
        stream.sample(**{"t": 1.0, "seq": 1} | other)


def test_a_gap_is_refused_or_allowed() -> None:
    """The spec decides whether numbers may be skipped; the message names the next one."""
    strict, loose = Stream(spec_for("forecast")), Stream(spec_for("forecast", gaps="allow"))
    strict.sample(1.0)

    with pytest.raises(RecordError, match="next sample of this stream is number 2; send the missing ones first"):
        strict.sample(2.0, 3)
    assert loose.sample(1.0, 5) is Verdict.NEW
    assert loose.sample(2.0, 9) is Verdict.NEW


def test_a_skipped_sample_is_never_called_a_duplicate() -> None:
    """It was not applied and cannot be any more: saying otherwise would lose it in silence."""
    stream = Stream(spec_for("forecast", gaps="allow"))
    stream.sample(1.0, 5)
    stream.sample(2.0, 9)

    for skipped in (1, 4, 7):
        with pytest.raises(RecordError, match=f"number {skipped} was skipped .* the next one is 10"):
            stream.sample(3.0, skipped)


def test_old_samples_are_taken_for_duplicates() -> None:
    """Of the last 64 samples the content is known; before that the number alone speaks."""
    ledger = Stream(spec_for("forecast")).ledger
    for n in range(1, ANSWERS_KEPT + 11):
        ledger.admit_sample(float(n), (0.0, 0.0), None, None)

    assert ledger.admit_sample(3.0, (9.0, 9.0), 3, None)[0] is Verdict.DUPLICATE
    with refused("seq_conflict"):
        ledger.admit_sample(11.0, (9.0, 9.0), 11, None)


@pytest.mark.parametrize("t", [5.0, 4.0])
def test_a_late_sample_is_refused_or_clamped(t: float) -> None:
    """At or before the last one's time: the spec decides."""
    strict, loose = Stream(spec_for("forecast")), Stream(spec_for("forecast", late="clamp"))
    strict.sample(5.0)
    loose.sample(5.0)

    with pytest.raises(RecordError, match='create the stream with "late": "clamp"'):
        strict.sample(t)
    assert loose.sample(t) is Verdict.NEW
    assert loose.ledger.last_t == 5.0


@pytest.mark.parametrize(
    ("code", "sample"),
    [
        ("dimension", {"x": (1.0,)}),
        ("dimension", {"x": (1.0, 2.0, 3.0)}),
        ("not_finite", {"x": (1.0, float("inf"))}),
        ("not_finite", {"x": (-float("inf"), NAN)}),
        ("out_of_range", {"x": (1.0, 1.01 * MAX_VALUE)}),
        ("not_finite", {"t": NAN}),
        ("not_finite", {"t": float("inf")}),
        ("out_of_range", {"t": 1.01 * MAX_TIME}),
        ("invalid", {"seq": 0}),
        ("invalid", {"seq": -3}),
        ("invalid", {"seq": MAX_SEQ + 1}),
        ("label_invalid", {"y": (1.0,)}),
        ("label_invalid", {"y": (1.0, NAN)}),
        ("label_invalid", {"y": (1.0, float("inf"))}),
        ("label_invalid", {"y": (1.0, 2 * MAX_VALUE)}),
    ],
)
def test_a_bad_sample_changes_nothing(code: str, sample: dict[str, Any]) -> None:
    """It is refused with its code, and the next good one is taken as if it had not been."""
    stream = Stream(spec_for("regression", gaps="allow"))
    stream.sample(1.0)
    before = vars(stream.rebuilt())

    with refused(code):
        stream.sample(**{"t": 2.0} | sample)
    assert vars(stream.ledger) == before
    assert stream.sample(2.0) is Verdict.NEW


def test_extreme_values_are_taken() -> None:
    """The largest magnitude, and nothing but missing values."""
    stream = Stream(spec_for("forecast"))

    assert stream.sample(-MAX_TIME, x=(MAX_VALUE, -MAX_VALUE)) is Verdict.NEW
    assert stream.sample(MAX_TIME, x=(NAN, NAN)) is Verdict.NEW


# --- labels, one rule at a time --------------------------------------------------------------------------------------


def labelled_stream() -> Stream:
    """A regression with samples 1 to 5; the label horizon is 3, so 3, 4 and 5 wait for theirs."""
    stream = Stream(spec_for("regression"))
    for n in range(1, 6):
        stream.sample(float(n))
    return stream


def test_a_label_finds_its_sample_within_the_horizon() -> None:
    """Later it is expired, however it repeats."""
    stream = labelled_stream()

    assert [stream.label(seq, (1.0, 2.0)) for seq in (3, 5, 4)] == [Verdict.NEW] * 3
    with pytest.raises(RecordError, match=r"within 3 samples; a longer `learner\.label_horizon`"):
        stream.label(2, (1.0, 2.0))


def test_a_repeated_label_is_a_duplicate_and_another_one_a_conflict() -> None:
    """The first label stands, whether it came along or later."""
    stream = labelled_stream()
    stream.label(4, (1.0, 2.0))
    stream.sample(6.0, y=(3.0, 4.0))

    assert stream.label(4, (1.0, 2.0)) is Verdict.DUPLICATE
    assert stream.label(6, (3.0, 4.0)) is Verdict.DUPLICATE
    for seq in (4, 6):
        with refused("label_conflict"):
            stream.label(seq, (0.0, 0.0))


@pytest.mark.parametrize("seq", [0, -1, 6, 10**9])
def test_a_label_of_no_sample_is_unknown(seq: int) -> None:
    """Numbers that never were, and those to come."""
    with refused("label_unknown"):
        labelled_stream().label(seq, (1.0, 2.0))


def test_a_label_of_a_skipped_number_is_unknown() -> None:
    """In a gap there is no sample that it could belong to."""
    stream = Stream(spec_for("regression", gaps="allow"))
    stream.sample(1.0, 10)
    stream.sample(2.0, 20)

    with refused("label_unknown"):
        stream.label(15, (1.0, 2.0))
    with refused("label_unknown"):
        Stream(spec_for("regression")).label(1, (1.0, 2.0))


@pytest.mark.parametrize("y", [(2.0,), (-1.0,), (0.5,), (NAN,), (0.0, 1.0), ()])
def test_a_class_is_an_index_into_the_classes(y: tuple[float, ...]) -> None:
    """Anything else is no label of a classification."""
    stream = Stream(spec_for("classification"))
    stream.sample(1.0)

    with refused("label_invalid"):
        stream.label(1, y)
    with refused("label_invalid"):
        stream.sample(2.0, y=y)


def test_a_forecast_takes_no_labels() -> None:
    """Its targets are later samples."""
    stream = Stream(spec_for("forecast"))
    stream.sample(1.0)

    with pytest.raises(RecordError, match="takes its targets from later samples; leave `y` out"):
        stream.label(1, (1.0,))
    with refused("label_invalid"):
        stream.sample(2.0, y=(1.0, 2.0))


def test_fingerprints_tell_content_apart() -> None:
    """Every NaN is the same missing value; a label is not a feature."""
    sample = Sample(seq=1, t=1.0, x=(NAN, 2.0))

    assert fingerprint(sample) == fingerprint(Sample(seq=2, t=1.0, x=(-NAN, 2.0)))
    assert fingerprint(Sample(seq=1, t=1.0, x=(1.0,), y=(2.0,))) != fingerprint(Sample(seq=1, t=1.0, x=(1.0, 2.0)))


# --- any order of everything -----------------------------------------------------------------------------------------

_ENGINES: dict[str, Engine] = {}


class LedgerMachine(RuleBasedStateMachine):
    """Samples and labels in any order, numbered and timed anyhow, beside a plain list of what was taken."""

    @initialize(task=st.sampled_from(sorted(TASKS)), gaps=st.sampled_from(["reject", "allow"]), late=st.booleans())
    def begin(self, task: str, gaps: str, late: bool) -> None:
        spec = spec_for(task, gaps=gaps, late="clamp" if late else "reject")
        engine = _ENGINES.setdefault(spec.digest, build_engine(spec))
        self.stream = Stream(spec, engine)
        self.spec = spec
        self.taken: list[Sample] = []
        self.labels: dict[int, tuple[float, ...]] = {}

    def outcome(self, sample: Sample, number: int | None) -> str:
        """What the rules say about this sample, in words."""
        last = self.taken[-1].seq if self.taken else 0
        if number is not None and number < 1:
            return "invalid"
        if number is not None and number <= last:
            given = [taken for taken in self.taken if taken.seq == number]
            if not given:
                return "late_sample"
            return "duplicate" if fingerprint(given[0]) == fingerprint(sample) else "seq_conflict"
        if number is not None and number > last + 1 and self.spec.gaps == "reject":
            return "seq_gap"
        if self.taken and sample.t <= max(taken.t for taken in self.taken) and self.spec.late == "reject":
            return "late_sample"
        return "new"

    @rule(
        step=st.sampled_from([None, None, 1, 1, 1, 2, 4, 0, -1, -2, -5, -100]),
        later=st.sampled_from([1.0, 1.0, 1.0, 0.25, 0.0, -1.0]),
        value=st.sampled_from([0.0, 1.0, NAN]),
        label=st.sampled_from([None, None, 0.0, 1.0]),
        again=st.booleans(),
    )
    def sample(self, step: int | None, later: float, value: float, label: float | None, again: bool) -> None:
        last = self.taken[-1] if self.taken else Sample(seq=0, t=0.0, x=())
        number = None if step is None else last.seq + step
        y = None if label is None or self.spec.task == "forecast" else (label,) * self.spec.num_targets
        sample = Sample(seq=number or last.seq + 1, t=last.t + later, x=(value, 1.0), y=y)
        earlier = [taken for taken in self.taken if taken.seq == number]
        if again and earlier:
            sample = earlier[0]
        expected = self.outcome(sample, number)
        try:
            found = self.stream.sample(sample.t, number, sample.x, sample.y).value
        except RecordError as error:
            found = error.code

        assert found == expected
        if found == "new":
            self.taken.append(sample)
            if sample.y is not None:
                self.labels[sample.seq] = sample.y

    @precondition(lambda self: self.spec.task != "forecast")
    @rule(back=st.integers(-1, 6), value=st.sampled_from([0.0, 1.0]))
    def label(self, back: int, value: float) -> None:
        last = self.taken[-1].seq if self.taken else 0
        seq, y = last - back, (value,) * self.spec.num_targets
        waiting = [taken.seq for taken in self.taken[-LABEL_HORIZON:]]
        if seq in waiting:
            expected = "new" if seq not in self.labels else "duplicate" if self.labels[seq] == y else "label_conflict"
        else:
            expected = "label_expired" if waiting and 1 <= seq < waiting[0] else "label_unknown"
        try:
            found = self.stream.label(seq, y).value
        except RecordError as error:
            found = error.code

        assert found == expected
        if found == "new":
            self.labels[seq] = y

    @invariant()
    def a_rebuilt_ledger_is_the_running_one(self) -> None:
        """Nothing that decides is lost when a stream leaves memory: not even the order of things."""
        running, rebuilt = vars(self.stream.ledger), vars(self.stream.rebuilt())

        assert rebuilt == running
        for name, value in running.items():
            if isinstance(value, dict):
                assert list(rebuilt[name]) == list(value)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_labels_are_records_of_their_own() -> None:
    """An admitted label is what the log keeps: the number of its sample and its values."""
    _, record = labelled_stream().ledger.admit_label(4, (1.0, 2.0))

    assert record == Label(seq=4, y=(1.0, 2.0))
    assert np.isfinite(record.y).all()
