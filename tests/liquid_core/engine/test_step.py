"""What a step promises: nothing is known before its time, nothing else moves, and what is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from liquid_core.engine import Label, Sample, Slab, StepResults, Update
from liquid_core.engine.anatomy import ANSWERS_KEPT, num_inputs
from liquid_core.learner.experts import AUTOREGRESSION_WIDTH, num_linear_features
from liquid_core.spec import CfCSpec, LearnerSpec, ModelSpec

CELLS = ["cfc", "wired_cfc", "ltc", "mixed"]
SUPERVISED = ["regression", "classification"]


def same(a: StepResults, b: StepResults) -> bool:
    names = ("prediction", "median", "half_width", "anomaly", "surprise", "drift", "update")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def unlabelled(num_samples: int) -> list[Sample]:
    rng = np.random.default_rng(1)
    return [Sample(seq=seq, t=float(seq), x=tuple(rng.normal(size=2).tolist())) for seq in range(1, num_samples + 1)]


# --- nothing is known before its time --------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("changed", [5, 9, 12])
def test_the_future_changes_no_answer(bench: Any, cell: str, changed: int) -> None:
    """A forecast's answers up to a sample are bit for bit the same, whatever comes after it."""
    engine = bench.engine("forecast", cell)
    records = bench.records(engine.spec, 0, 12)
    other = [
        record if record.seq < changed else Sample(seq=record.seq, t=2 * record.t, x=(-50.0, np.nan))
        for record in records
    ]
    (_, before), (_, after) = bench.fold(engine, records), bench.fold(engine, other)

    assert all(same(a, b) for a, b in zip(before[: changed - 1], after[: changed - 1], strict=True))
    assert not same(before[changed - 1], after[changed - 1])


@pytest.mark.parametrize("task", SUPERVISED)
@pytest.mark.parametrize("cell", CELLS)
def test_a_samples_own_label_does_not_help_its_answer(bench: Any, task: str, cell: str) -> None:
    """With one label, another or none, the answer to the sample is bit for bit the same."""
    engine = bench.engine(task, cell)
    row, _ = bench.fold(engine, bench.records(engine.spec, 1, 8))
    labels = [None, *((value,) * engine.spec.num_targets for value in (0.0, 2.0))]
    answers = [bench.fold(engine, [Sample(seq=9, t=99.0, x=(0.3, -0.2), y=label)], row)[1][0] for label in labels]

    for answer in answers[1:]:
        np.testing.assert_array_equal(answer.prediction, answers[0].prediction)
        np.testing.assert_array_equal(answer.median, answers[0].median)
        np.testing.assert_array_equal(answer.half_width, answers[0].half_width)


@pytest.mark.parametrize("task", ["forecast", *SUPERVISED])
def test_a_look_ahead_changes_nothing_and_tells_the_answer(bench: Any, task: str) -> None:
    """Peeking leaves every byte of the slab; without learning in between it is the answer that comes."""
    engine = bench.engine(task, "cfc")
    slab = Slab(engine.layout)
    slot = slab.load(engine.initial_row())
    for record in bench.records(engine.spec, 2, 7):
        engine.step(slab, [slot], [record])
    before = slab.rows.copy()
    sample = Sample(seq=8, t=1000.0, x=(np.nan, np.nan))
    peeked = engine.peek(slab, slot, sample)
    np.testing.assert_array_equal(slab.rows, before)
    answered = engine.step(slab, [slot], [sample])

    # A sample without values brings no target, so that nothing is learned from it.
    np.testing.assert_array_equal(peeked.prediction, answered.prediction)
    np.testing.assert_array_equal(peeked.median, answered.median)
    np.testing.assert_array_equal(peeked.half_width, answered.half_width)
    assert (peeked.anomaly[0], peeked.update[0]) == (-1.0, Update.NONE)


# --- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", SUPERVISED)
@pytest.mark.parametrize("cell", CELLS)
def test_a_label_right_after_its_sample_teaches_the_same(bench: Any, task: str, cell: str) -> None:
    """With the sample or as the next record: all of the stream is the same but what counts records and answers."""
    engine = bench.engine(task, cell)
    together, apart = [], []
    rng = np.random.default_rng(0)
    for sample in unlabelled(8):
        y = bench.label(engine.spec, rng)
        together.append(Sample(seq=sample.seq, t=sample.t, x=sample.x, y=y))
        apart += [sample, Label(seq=sample.seq, y=y)]
    a, b = (bench.arrays(engine, bench.fold(engine, records)[0]) for records in (together, apart))

    for name in a:
        if name not in ("stream.records", "answers.fingerprint", "answers.anomaly", "answers.drift"):
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    assert (a["stream.records"], b["stream.records"]) == (8, 16)


@pytest.mark.parametrize("task", SUPERVISED)
def test_a_late_label_teaches_but_moves_nothing_on(bench: Any, task: str) -> None:
    """It settles and learns for the sample that it names; hidden states, clock, scaler, answers stay."""
    engine = bench.engine(task, "cfc")
    rng = np.random.default_rng(0)
    first, second, *others = unlabelled(6)
    earlier = [Label(seq=seq, y=bench.label(engine.spec, rng)) for seq in (1, 2)]
    row, _ = bench.fold(engine, [first, earlier[0], second, earlier[1], *others])
    label = Label(seq=4, y=(1.0,) * engine.spec.num_targets)
    after_row, (result,) = bench.fold(engine, [label], row)
    before, after = bench.arrays(engine, row), bench.arrays(engine, after_row)

    assert result.update[0] == Update.APPLIED
    assert result.surprise[0] >= 0
    assert not result.prediction.any()
    assert (after["stream.labels"], after["stream.samples"], after["stream.records"]) == (3, 6, 9)
    for name in before:
        if name.startswith(("clock.", "scaler.", "answers.")) or name in ("window.hidden", "window.inputs"):
            np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    assert (after["readout.weights"] != before["readout.weights"]).any()
    slot = 4 % len(after["window.seq"])
    assert after["window.labelled"][slot]
    assert not before["window.labelled"][slot]
    assert after["window.label"][slot].tolist() == list(label.y)


def test_an_answer_without_a_scale_teaches_nothing(bench: Any) -> None:
    """Before any scale is known a target cannot be said: a late label of that time is only counted."""
    engine = bench.engine("regression", "cfc")
    labels = [Label(seq=seq, y=(float(seq), -1.0)) for seq in (3, 4, 5)]
    row, results = bench.fold(engine, [*unlabelled(6), *labels])
    arrays = bench.arrays(engine, row)

    assert [int(result.update[0]) for result in results[6:]] == [Update.NONE] * 3
    assert (arrays["stream.labels"], arrays["stream.updates"]) == (3, 0)
    assert not arrays["readout.weights"].any()


def test_the_order_of_labels_is_the_order_of_learning(bench: Any) -> None:
    """Two labels in another order are another history: the log's order is what counts."""
    engine = bench.engine("regression", "cfc")
    row, _ = bench.fold(engine, unlabelled(6))
    labels = [Label(seq=4, y=(1.0, 0.0)), Label(seq=6, y=(-2.0, 1.0))]

    assert (bench.fold(engine, labels, row)[0] != bench.fold(engine, labels[::-1], row)[0]).any()


def test_a_label_at_the_edge_of_the_horizon_still_finds_its_window(bench: Any) -> None:
    """The oldest sample that may be labelled is unrolled like any other: same lesson as when it came at once."""
    spec = bench.spec("regression", "cfc")
    engine = bench.engine("regression", "cfc")
    samples = unlabelled(30)
    label = Label(seq=20, y=(0.7, -0.4))
    edge = 20 + spec.learner.label_horizon - 1
    early, _ = bench.fold(engine, [*samples[:20], label])
    late, _ = bench.fold(engine, [*samples[:edge], label])

    before, after = bench.arrays(engine, early), bench.arrays(engine, late)
    for name in before:
        if not name.startswith(("stream.", "clock.", "scaler.", "window.", "answers.")):
            np.testing.assert_array_equal(after[name], before[name], err_msg=name)


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_answers_are_kept_for_those_who_ask_again(bench: Any, make_engine: Any) -> None:
    """The last 64 answers stand in the row as they were given, found by their number."""
    spec = ModelSpec(
        task="forecast", features=("a",), cell=CfCSpec(units=1, backbone_units=1), learner=LearnerSpec(window=1)
    )
    engine = make_engine(spec)
    samples = [Sample(seq=seq, t=float(seq), x=(float(np.sin(seq)),)) for seq in range(1, ANSWERS_KEPT + 11)]
    row, results = bench.fold(engine, samples)
    arrays = bench.arrays(engine, row)

    assert sorted(arrays["answers.seq"].tolist()) == list(range(11, ANSWERS_KEPT + 11))
    for seq in (11, 40, ANSWERS_KEPT + 10):
        (slot,) = np.flatnonzero(arrays["answers.seq"] == seq)
        np.testing.assert_array_equal(arrays["answers.prediction"][slot], results[seq - 1].prediction[0])
        np.testing.assert_array_equal(arrays["answers.median"][slot], results[seq - 1].median[0])
        np.testing.assert_array_equal(arrays["answers.half_width"][slot], results[seq - 1].half_width[0])
        assert arrays["answers.anomaly"][slot] == results[seq - 1].anomaly[0]


def test_numbers_may_be_skipped(bench: Any) -> None:
    """A gap in `seq` is no gap in the window: the samples on both sides are neighbours."""
    engine = bench.engine("regression", "cfc")
    samples = unlabelled(9)
    sparse = [Sample(seq=10 * sample.seq, t=sample.t, x=sample.x) for sample in samples]
    label, sparse_label = (Label(seq=seq, y=(1.0, 2.0)) for seq in (7, 70))
    a, b = (
        bench.arrays(engine, bench.fold(engine, records)[0]) for records in ([*samples, label], [*sparse, sparse_label])
    )

    np.testing.assert_array_equal(a["readout.weights"], b["readout.weights"])
    np.testing.assert_array_equal(a["window.hidden"], b["window.hidden"])
    assert (a["stream.seq"], b["stream.seq"]) == (9, 90)


def test_learning_waits_for_the_warmup(bench: Any) -> None:
    """Before `warmup` samples the scales are not known, and nothing is learned."""
    engine = bench.engine("forecast", "cfc")
    _, results = bench.fold(engine, unlabelled(6))

    assert [int(result.update[0]) for result in results] == [Update.NONE] * 2 + [Update.APPLIED] * 4


def test_at_first_it_answers_with_the_naive_guess(bench: Any) -> None:
    """A forecast with the last value, a missing one with the last that was there."""
    engine = bench.engine("forecast", "ltc")
    samples = [Sample(seq=1, t=1.0, x=(3.0, 4.0)), Sample(seq=2, t=2.0, x=(5.0, np.nan))]
    _, results = bench.fold(engine, samples)

    assert results[0].prediction.tolist() == [[3.0, 4.0, 3.0, 4.0]]
    assert results[1].prediction.tolist() == [[5.0, 4.0, 5.0, 4.0]]
    for result in results:
        np.testing.assert_array_equal(result.median, result.prediction)
    assert not results[0].half_width.any()


@pytest.mark.parametrize("task", ["forecast", *SUPERVISED])
def test_values_have_a_median_and_classes_none(bench: Any, task: str) -> None:
    """One an output, and a label has none; the mix of classes keeps no rows for it either."""
    engine = bench.engine(task, "cfc")
    records = bench.records(engine.spec, 3, 30)
    row, results = bench.fold(engine, records)
    outputs, mix = engine.spec.num_outputs, bench.arrays(engine, row)["mix.share"]

    assert {result.median.shape for result in results} == {(1, 0 if task == "classification" else outputs)}
    assert len(mix) == (2 if task == "classification" else 4)
    if task != "classification":
        assert any((result.median != result.prediction).any() for result in results)
        for record, result in zip(records, results, strict=True):
            assert isinstance(record, Sample) or not result.median.any()


def test_class_probabilities_are_probabilities(bench: Any) -> None:
    """They lie in [0, 1] and add up to one, from the first sample on."""
    engine = bench.engine("classification", "ltc")
    records = bench.records(engine.spec, 3, 12)
    _, results = bench.fold(engine, records)

    for record, result in zip(records, results, strict=True):
        if isinstance(record, Sample):
            assert (result.prediction >= 0).all()
            assert result.prediction.sum() == pytest.approx(1.0, abs=1e-5)


def test_parameters_are_counted_without_what_the_wiring_leaves_out(bench: Any) -> None:
    """What a stream really has to learn, readout and linear experts included."""
    engine = bench.engine("forecast", "ltc")
    linear = num_linear_features(engine.spec, num_inputs(engine.spec))

    cell = engine.network.cell.effective_parameter_count
    assert engine.num_params == cell + 4 * (engine.network.sizes.readout_features + linear + AUTOREGRESSION_WIDTH)


def test_a_fresh_row_is_the_specs_own(bench: Any, make_engine: Any) -> None:
    """Two engines of one spec start a stream alike, and a row that was handed out is the caller's to write on."""
    spec = bench.spec("forecast", "ltc")
    first, second = make_engine(spec), make_engine(spec)
    row = first.initial_row()
    row[:] = 0

    np.testing.assert_array_equal(first.initial_row(), second.initial_row())
