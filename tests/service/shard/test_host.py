"""The host: what a stream takes and refuses, and that nothing but its own records ever changes it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest

from liquid_core import ModelSpec
from service.messages import ColdStream, LabelIn, PredictIn, ProblemItem, SampleIn
from service.problems import Problem

from .conftest import Fold, OpenHost, Rig, assert_same, labels, refusals, samples, tiny

NOW = 1.8e9

# --- streams ---------------------------------------------------------------------------------------------------------


async def test_a_stream_is_the_fold_of_its_records(rig: Rig) -> None:
    """Answers and state are those of the engine applied to each record in order, bit for bit."""
    for task in ("forecast", "regression", "classification", "wired"):
        spec = tiny(task)
        await rig.host.create(task, spec)
        sent = samples(spec, 12)
        results = await rig.host.submit_samples(task, sent)
        fold = Fold(spec).apply(*sent)
        assert [result.predictions for result in results] == [*fold.answers.values()]
        assert_same(await rig.arrays(task), fold.arrays)


async def test_creating_is_idempotent(rig: Rig) -> None:
    """The second time confirms what is there, samples and all."""
    info, created = await rig.host.create("pump", tiny())
    assert (info.id, info.spec, info.last_seq, info.last_t, created) == ("pump", tiny(), 0, None, True)
    await rig.host.submit_samples("pump", samples(tiny(), 3))
    info, created = await rig.host.create("pump", tiny())
    assert (info.last_seq, info.samples, created) == (3, 3, False)


async def test_another_spec_is_a_conflict(rig: Rig, open_host: OpenHost) -> None:
    """In memory or not, the stream stays as it is, and the other spec leaves no model behind."""
    await rig.host.create("pump", tiny())
    second = await open_host()
    for host in (rig.host, second.host):
        with pytest.raises(Problem, match="another spec") as refused:
            await host.create("pump", tiny(seed=1))
        assert refused.value.code == "spec_conflict"
    assert (await second.host.describe("pump")).spec == tiny()


async def test_many_may_create_at_once(rig: Rig) -> None:
    """One of them makes the stream; new streams of a new spec share one slab and not a byte of their states."""
    spec = tiny()
    made = await asyncio.gather(*(rig.host.create("pump", spec) for _ in range(4)))
    assert sorted(created for _, created in made) == [False, False, False, True]
    await asyncio.gather(*(rig.host.create(f"pump-{n}", tiny(seed=2)) for n in range(6)))
    await asyncio.gather(*(rig.host.submit_samples(f"pump-{n}", samples(spec, 4, phase=n)) for n in range(6)))
    for n in range(6):
        assert_same(await rig.arrays(f"pump-{n}"), Fold(tiny(seed=2)).apply(*samples(spec, 4, phase=n)).arrays)


async def test_what_does_not_exist_is_not_found(rig: Rig) -> None:
    """By whichever door."""
    for asked in (
        rig.host.describe("nobody"),
        rig.host.delete("nobody"),
        rig.host.predict("nobody", PredictIn()),
        rig.host.export_state("nobody"),
        rig.host.history("nobody", 10),
        rig.host.submit_samples("nobody", samples(tiny(), 1)),
        rig.host.submit_labels("nobody", [LabelIn(seq=1, y=0.0)]),
    ):
        with pytest.raises(Problem, match="no stream has this id") as refused:
            await asked
        assert refused.value.code == "stream_not_found"


async def test_a_stream_made_anew_starts_fresh(rig: Rig) -> None:
    """Nothing of the deleted one is left: not its seq, its answers, its history, or its spec."""
    await rig.host.create("pump", tiny())
    await rig.host.submit_samples("pump", samples(tiny(), 10))
    await rig.host.delete("pump")
    spec = tiny("regression")
    info, created = await rig.host.create("pump", spec)
    assert (info.spec, info.last_seq, created) == (spec, 0, True)
    assert (await rig.host.history("pump", 10)).points == []
    results = await rig.host.submit_samples("pump", samples(spec, 3))
    assert [result.duplicate for result in results] == [False] * 3
    assert_same(await rig.arrays("pump"), Fold(spec).apply(*samples(spec, 3)).arrays)


async def test_deleting_waits_for_what_is_in_flight(rig: Rig) -> None:
    """A sample on its way is answered first; one that still waits is not found; other streams notice nothing."""
    spec = tiny()
    for stream_id in ("old", "other"):
        await rig.host.create(stream_id, spec)
    rig.store.open.clear()
    in_flight = asyncio.create_task(rig.host.submit_samples("old", samples(spec, 1)))
    await rig.store.waiting.wait()
    waiting = asyncio.create_task(rig.host.submit_samples("old", samples(spec, 1, first=2)))
    deleting = asyncio.create_task(rig.host.delete("old"))
    await asyncio.sleep(0.05)
    assert not deleting.done()
    rig.store.open.set()
    assert (await in_flight)[0].predictions == Fold(spec).apply(*samples(spec, 1)).answers[1]
    await deleting
    with pytest.raises(Problem, match="no stream has this id"):
        await waiting
    # The new stream takes the slot that the old one had.
    await rig.host.create("new", spec)
    for stream_id in ("new", "other"):
        await rig.host.submit_samples(stream_id, samples(spec, 5, phase=2.0))
        assert_same(await rig.arrays(stream_id), Fold(spec).apply(*samples(spec, 5, phase=2.0)).arrays)


async def test_streams_come_and_go_beside_each_other(rig: Rig) -> None:
    """While some are deleted and made anew under load, every other one stays the fold of its own records."""
    spec = tiny()
    kept = [f"kept-{n}" for n in range(3)]
    for stream_id in kept:
        await rig.host.create(stream_id, spec)

    async def feed(number: int) -> None:
        for sample in samples(spec, 12, phase=number):
            await rig.host.submit_samples(kept[number], [sample])

    async def churn(stream_id: str) -> None:
        for _ in range(6):
            await rig.host.create(stream_id, spec)
            sending = asyncio.create_task(rig.host.submit_samples(stream_id, samples(spec, 3)))
            await asyncio.sleep(0.01)
            await rig.host.delete(stream_id)
            await asyncio.gather(sending, return_exceptions=True)

    await asyncio.gather(*(feed(number) for number in range(3)), *(churn(f"churned-{n}") for n in range(3)))
    for number, stream_id in enumerate(kept):
        assert_same(await rig.arrays(stream_id), Fold(spec).apply(*samples(spec, 12, phase=number)).arrays)
    assert len((await rig.host.list(None, 100)).streams) == 3


async def test_pages_list_every_stream_once(rig: Rig) -> None:
    """However small the page; a made-up cursor is invalid."""
    ids = {f"pump-{n}" for n in range(7)}
    for stream_id in ids:
        await rig.host.create(stream_id, tiny())
    listed: list[str] = []
    cursor: str | None = None
    while True:
        page = await rig.host.list(cursor, 3)
        listed += [info.id for info in page.streams]
        assert len(page.streams) <= 3
        if (cursor := page.next_cursor) is None:
            break
    assert len(listed) == 7
    assert set(listed) == ids
    with pytest.raises(Problem, match="cursor") as refused:
        await rig.host.list("!", 3)
    assert refused.value.code == "invalid"


async def test_a_list_brings_no_stream_into_memory(open_host: OpenHost) -> None:
    """Of those that wait in the store it shows what they are, of the others also where they stand."""
    rig = await open_host(room_for=2)
    specs = {"pump": tiny(), "valve": tiny(seed=1), "meter": tiny()}
    for stream_id, spec in specs.items():
        await rig.host.create(stream_id, spec)
        await rig.host.submit_samples(stream_id, samples(spec, 3))
    before = rig.value("hydrations_total")
    listed = {info.id: info for info in (await rig.host.list(None, 10)).streams}
    assert {stream_id: info.spec for stream_id, info in listed.items()} == specs
    hot = {stream.id for stream in rig.host._table.hot()}
    assert len(hot) < 3
    for stream_id, info in listed.items():
        if stream_id in hot:
            assert info == await rig.host.describe(stream_id)
        else:
            assert isinstance(info, ColdStream)
            assert abs(info.created_at - time.time()) < 600
    assert rig.value("hydrations_total") == before


async def test_a_list_shows_the_spec_that_a_stream_has_now(open_host: OpenHost) -> None:
    """Not the one that it was created with: also of those that wait in the store, for this host and for the next."""
    rig = await open_host(room_for=2)
    changed = {"learner": {"learning_rate": 0.25}}
    for stream_id in ("pump", "valve", "meter"):
        await rig.host.create(stream_id, tiny())
        await rig.host.submit_samples(stream_id, samples(tiny(), 3))
    after = (await rig.host.verbs.change_spec("pump", changed)).spec
    assert after != tiny()
    for stream_id in ("valve", "meter"):  # there is room for two
        await rig.host.submit_samples(stream_id, samples(tiny(), 1, first=4))

    async def cold(rig: Rig) -> dict[str, ModelSpec]:
        page = await rig.host.list(None, 10)
        return {info.id: info.spec for info in page.streams if isinstance(info, ColdStream)}

    assert (await cold(rig))["pump"] == after
    assert (await rig.host.describe("pump")).spec == after
    await rig.close()
    second = await open_host(room_for=1)
    await second.host.describe("meter")
    assert (await cold(second))["pump"] == after
    info = await second.host.describe("pump")
    assert (info.spec, info.last_seq) == (after, 3)


async def test_where_streams_stand(rig: Rig) -> None:
    """`last_seqs` tells it of those that exist."""
    for stream_id, count in (("a", 3), ("b", 0)):
        await rig.host.create(stream_id, tiny())
        await rig.host.submit_samples(stream_id, samples(tiny(), count))
    assert await rig.host.last_seqs(["a", "b", "nobody"]) == {"a": 3, "b": 0}


# --- what is refused -------------------------------------------------------------------------------------------------


def sample(**changes: Any) -> SampleIn:
    return SampleIn(**({"t": NOW, "x": [1.0, 2.0]} | changes))


REFUSED_SAMPLES: list[tuple[str, SampleIn, str]] = [
    ("forecast", sample(seq=9), "seq_gap"),
    ("forecast", sample(seq=4, x=[9.0, 9.0]), "seq_conflict"),
    ("forecast", sample(t=1.0), "late_sample"),
    ("forecast", sample(t=samples(tiny(), 4)[-1].t), "late_sample"),
    ("forecast", sample(x=[1.0]), "dimension"),
    ("forecast", sample(x=[1.0, 2.0, 3.0]), "dimension"),
    ("forecast", sample(x=[1e31, 2.0]), "out_of_range"),
    ("forecast", sample(t=1e16), "out_of_range"),
    ("forecast", sample(t="2030-01-01T00:00:00"), "invalid"),
    ("forecast", sample(t="yesterday"), "invalid"),
    ("forecast", sample(y=[1.0, 2.0]), "label_invalid"),
    ("regression", sample(x=[1.0], y="loud"), "label_invalid"),
    ("regression", sample(x=[1.0], y=[1.0, 2.0]), "label_invalid"),
    ("regression", sample(x=[1.0], y=1e31), "label_invalid"),
    ("classification", sample(x=[1.0], y=1.0), "label_invalid"),
    ("classification", sample(x=[1.0], y="unheard"), "label_invalid"),
]


@pytest.mark.parametrize(
    ("task", "bad", "code"), REFUSED_SAMPLES, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_a_refused_sample_changes_nothing(rig: Rig, task: str, bad: SampleIn, code: str) -> None:
    """It gets its code; those before and behind it go on, and the stream is what it were without it."""
    spec = tiny(task)
    await rig.host.create("pump", spec)
    good = samples(spec, 6)
    outcomes = await rig.host.submit_samples("pump", [*good[:4], bad, *good[4:]])
    assert refusals(outcomes) == [None] * 4 + [code] + [None] * 2
    assert_same(await rig.arrays("pump"), Fold(spec).apply(*good).arrays)
    assert rig.value("samples_rejected_total", reason=code) == 1
    assert rig.value("samples_total", model="cfc", result="rejected") == 1
    assert rig.value("samples_total", model="cfc", result="applied") == 6


REFUSED_LABELS: list[tuple[str, LabelIn, str]] = [
    ("regression", LabelIn(seq=99, y=1.0), "label_unknown"),
    ("regression", LabelIn(seq=2, y=1.0), "label_expired"),
    ("regression", LabelIn(seq=9, y=0.123), "label_conflict"),
    ("regression", LabelIn(seq=8, y="loud"), "label_invalid"),
    ("regression", LabelIn(seq=8, y=[1.0, 2.0]), "label_invalid"),
    ("classification", LabelIn(seq=8, y="unheard"), "label_invalid"),
    ("classification", LabelIn(seq=8, y=1.0), "label_invalid"),
    ("forecast", LabelIn(seq=8, y=[1.0, 2.0]), "label_invalid"),
]


@pytest.mark.parametrize(
    ("task", "bad", "code"), REFUSED_LABELS, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_a_refused_label_changes_nothing(rig: Rig, task: str, bad: LabelIn, code: str) -> None:
    """It gets its code, and the stream is what it were without it."""
    spec = tiny(task)
    await rig.host.create("pump", spec)
    good = samples(spec, 9)
    await rig.host.submit_samples("pump", good)
    assert refusals(await rig.host.submit_labels("pump", [bad])) == [code]
    assert_same(await rig.arrays("pump"), Fold(spec).apply(*good).arrays)
    assert rig.value("labels_total", result="rejected") == 1


async def test_a_gap_says_what_is_expected(rig: Rig) -> None:
    """So that a client can go on from there; a conflict says it too."""
    await rig.host.create("pump", tiny())
    await rig.host.submit_samples("pump", samples(tiny(), 4))
    outcomes = await rig.host.submit_samples("pump", [sample(seq=9), sample(seq=4)])
    for outcome in outcomes:
        assert isinstance(outcome, ProblemItem)
        assert outcome.problem["expected_seq"] == 5


async def test_a_stream_may_allow_gaps_and_late_samples(rig: Rig) -> None:
    """Where its spec says so, a skipped number and a time that stands still are taken."""
    spec = tiny(gaps="allow", late="clamp")
    await rig.host.create("pump", spec)
    sent = [sample(seq=1), sample(seq=5, t=NOW - 60.0), sample(seq=6, t=NOW + 60.0)]
    assert refusals(await rig.host.submit_samples("pump", sent)) == [None] * 3
    assert_same(await rig.arrays("pump"), Fold(spec).apply(*sent).arrays)


async def test_extreme_values_do_no_harm(rig: Rig, open_host: OpenHost) -> None:
    """The largest values that are let through leave predictions finite and a state that another host can read."""
    await rig.host.create("pump", tiny())
    wild = [
        [1.0, 1.0],
        [1e30, -1e30],
        [1e-300, 0.0],
        [-1e30, 1e30],
        [None, None],
        [0.0, 1e-30],
        [1e30, 1e30],
        [5.0, 5.0],
    ]
    sent = [SampleIn(seq=seq, t=-1e15 + 8.0**seq, x=x) for seq, x in enumerate(wild * 2, 1)]
    assert refusals(await rig.host.submit_samples("pump", sent)) == [None] * len(sent)
    await rig.host.drain()
    other = await open_host()
    assert_same(await other.arrays("pump"), Fold(tiny()).apply(*sent).arrays)
    assert other.value("replay_entries_total") == 0


async def test_no_samples_get_no_answers(rig: Rig) -> None:
    """An empty request is answered at once."""
    await rig.host.create("pump", tiny())
    assert await rig.host.submit_samples("pump", []) == []


# --- repeats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["forecast", "classification"])
async def test_a_repeat_gets_the_same_answer(rig: Rig, open_host: OpenHost, task: str) -> None:
    """From the host that gave it, and from the next one on the same store; the stream does not notice."""
    spec = tiny(task)
    await rig.host.create("pump", spec)
    sent = samples(spec, 8)
    first = await rig.host.submit_samples("pump", sent)
    for host in (rig.host, (await open_host()).host):
        again = await host.submit_samples("pump", sent)
        assert all(result.duplicate for result in again)
        for name in ("seq", "predictions", "anomaly", "drift"):
            assert [getattr(result, name) for result in again] == [getattr(result, name) for result in first]
        assert (await host.describe("pump")).samples == 8


async def test_a_repeat_beside_its_original_is_answered_from_it(rig: Rig) -> None:
    """Both in one micro-batch: one is applied, the other is the duplicate."""
    await rig.host.create("pump", tiny())
    (one,) = samples(tiny(), 1)
    original, repeat = await rig.host.submit_samples("pump", [one, one])
    assert (original.duplicate, repeat.duplicate) == (False, True)
    assert original.predictions == repeat.predictions


async def test_an_old_repeat_has_no_answer_any_more(rig: Rig) -> None:
    """It still is known to have been applied."""
    spec = tiny()
    await rig.host.create("pump", spec)
    sent = samples(spec, 66)
    await rig.host.submit_samples("pump", sent)
    outcomes = await rig.host.submit_samples("pump", [sent[0], sent[2]])
    assert [outcome.duplicate for outcome in outcomes] == [True, True]
    assert outcomes[0].predictions is None
    assert outcomes[1].predictions is not None


# --- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["regression", "classification"])
async def test_labels_may_come_late(rig: Rig, open_host: OpenHost, task: str) -> None:
    """They teach when they come, in whatever order, and a repeat changes nothing, also after a restart."""
    spec = tiny(task)
    await rig.host.create("pump", spec)
    first, more, late = samples(spec, 8), samples(spec, 2, first=9), labels(spec, [8, 6, 10])
    await rig.host.submit_samples("pump", first)
    results = await rig.host.submit_labels("pump", late[:2])
    assert [(result.seq, result.duplicate) for result in results] == [(8, False), (6, False)]
    await rig.host.submit_samples("pump", more)
    await rig.host.submit_labels("pump", late[2:])
    fold = Fold(spec).apply(*first, *late[:2], *more, *late[2:])
    for each in (rig, await open_host()):
        again = await each.host.submit_labels("pump", late[:2][::-1])
        assert [(result.seq, result.duplicate) for result in again] == [(6, True), (8, True)]
        assert_same(await each.arrays("pump"), fold.arrays)
    assert rig.value("labels_total", result="applied") == 3
    assert rig.value("labels_total", result="duplicate") == 2


async def test_history_shows_what_came_and_what_was_answered(rig: Rig) -> None:
    """Times, values with their holes, class names, and a label where it has arrived."""
    spec = tiny("classification")
    await rig.host.create("pump", spec)
    sent = samples(spec, 11)
    results = await rig.host.submit_samples("pump", sent)
    (late,) = labels(spec, [10])
    await rig.host.submit_labels("pump", [late])
    points = (await rig.host.history("pump", 5)).points
    assert [point.seq for point in points] == [7, 8, 9, 10, 11]
    assert [point.y for point in points] == [sent[6].y, None, sent[8].y, late.y, sent[10].y]
    assert points[-1].x == [None]
    assert [point.predictions for point in points] == [result.predictions for result in results[6:]]


# --- looking ahead ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["forecast", "regression", "wired"])
async def test_looking_ahead_changes_nothing(rig: Rig, task: str) -> None:
    """Not a bit, however often and wherever one looks."""
    spec = tiny(task)
    await rig.host.create("pump", spec)
    await rig.host.submit_samples("pump", samples(spec, 5))
    before = await rig.arrays("pump")
    (ahead,) = samples(spec, 1, first=6)
    for peek in (PredictIn(), PredictIn(t=ahead.t), PredictIn(t=NOW, x=ahead.x), PredictIn(t="2030-01-01T00:00:00Z")):
        assert (await rig.host.predict("pump", peek)).last_seq == 5
    assert_same(await rig.arrays("pump"), before)


@pytest.mark.parametrize("task", ["regression", "classification"])
async def test_a_look_ahead_is_what_the_sample_will_get(rig: Rig, task: str) -> None:
    """Where labels come from outside, a sample is answered before it teaches anything."""
    spec = tiny(task)
    await rig.host.create("pump", spec)
    await rig.host.submit_samples("pump", samples(spec, 6))
    (coming,) = samples(spec, 1, first=7)
    seen = await rig.host.predict("pump", PredictIn(t=coming.t, x=coming.x))
    (result,) = await rig.host.submit_samples("pump", [coming])
    assert seen.predictions == result.predictions


async def test_a_forecast_looks_ahead_without_the_samples_lesson(rig: Rig) -> None:
    """A sample is itself the target of earlier forecasts, so it teaches before it is answered; a look does not.

    Before the first weight update there is no lesson, and both are the same.
    """
    spec = tiny(learner={"window": 3, "warmup": 6})
    await rig.host.create("pump", spec)
    pairs = []
    for coming in samples(spec, 9):
        seen = await rig.host.predict("pump", PredictIn(t=coming.t, x=coming.x))
        (result,) = await rig.host.submit_samples("pump", [coming])
        pairs.append((seen.predictions, result.predictions))
    values = [[[prediction.y for prediction in made or []] for made in pair] for pair in pairs]
    assert values[0][0] == values[0][1]
    assert values[8][0] != values[8][1]
    for seen, got in values:
        assert [len(y or []) for y in seen] == [len(y or []) for y in got] == [2, 2]


async def test_an_impossible_look_is_refused(rig: Rig) -> None:
    """By the codes of samples."""
    await rig.host.create("pump", tiny())
    await rig.host.submit_samples("pump", samples(tiny(), 2))
    for peek, code in (
        (PredictIn(x=[1.0]), "dimension"),
        (PredictIn(x=[1e31, 0.0]), "out_of_range"),
        (PredictIn(t=1.0), "late_sample"),
        (PredictIn(t="2030-01-01"), "invalid"),
    ):
        with pytest.raises(Problem, match=r"`[tx]`") as refused:
            await rig.host.predict("pump", peek)
        assert refused.value.code == code


# --- beside each other -----------------------------------------------------------------------------------------------


async def test_streams_do_not_notice_each_other(rig: Rig) -> None:
    """Many streams of several specs, all at once and interleaved, are each what they are alone."""
    specs = {
        f"{task}-{n}": tiny(task) for task in ("forecast", "regression", "classification", "wired") for n in range(4)
    }
    for stream_id, spec in specs.items():
        await rig.host.create(stream_id, spec)

    async def feed(number: int, stream_id: str) -> None:
        spec = specs[stream_id]
        sent = samples(spec, 10, phase=number)
        results = []
        for start, stop in ((0, 1), (1, 7), (7, 10)):
            results += await rig.host.submit_samples(stream_id, sent[start:stop])
        fold = Fold(spec).apply(*sent)
        assert [result.predictions for result in results] == [*fold.answers.values()]
        assert_same(await rig.arrays(stream_id), fold.arrays)

    await asyncio.gather(*(feed(number, stream_id) for number, stream_id in enumerate(specs)))


async def test_a_request_that_is_given_up_is_applied_all_the_same(rig: Rig) -> None:
    """The client went away after its samples had been taken: they are part of the stream."""
    spec = tiny()
    await rig.host.create("pump", spec)
    rig.store.open.clear()
    leaving = asyncio.create_task(rig.host.submit_samples("pump", samples(spec, 3)))
    await rig.store.waiting.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    rig.store.open.set()
    await rig.host.submit_samples("pump", samples(spec, 1, first=4))
    assert_same(await rig.arrays("pump"), Fold(spec).apply(*samples(spec, 4)).arrays)


# --- life ------------------------------------------------------------------------------------------------------------


async def test_a_host_is_ready_between_start_and_drain(rig: Rig) -> None:
    """And says why not before and after."""
    readiness = rig.host.readiness()
    assert readiness.ready
    assert (readiness.durability, readiness.reasons) == ("fsync", [])
    assert readiness.store.startswith(("valkey ", "redis "))
    await rig.host.drain()
    assert rig.host.readiness().reasons == ["draining"]
    with pytest.raises(Problem, match="starting or stopping") as refused:
        await rig.host.submit_samples("pump", samples(tiny(), 1))
    assert refused.value.code == "draining"


async def test_draining_answers_what_was_taken(rig: Rig, open_host: OpenHost) -> None:
    """Then it writes every stream's snapshot: the next host replays nothing."""
    specs = {f"{task}-{n}": tiny(task) for task in ("forecast", "regression") for n in range(3)}
    for stream_id, spec in specs.items():
        await rig.host.create(stream_id, spec)
    sending = [
        asyncio.create_task(rig.host.submit_samples(stream_id, samples(spec, 20))) for stream_id, spec in specs.items()
    ]
    await asyncio.sleep(0)
    await rig.host.drain()
    assert [refusals(outcomes) for outcomes in await asyncio.gather(*sending)] == [[None] * 20] * 6
    second = await open_host()
    for stream_id, spec in specs.items():
        assert_same(await second.arrays(stream_id), Fold(spec).apply(*samples(spec, 20)).arrays)
    assert second.value("replay_entries_total") == 0


async def test_a_drain_out_of_time_answers_everybody(open_host: OpenHost) -> None:
    """A store that does not come back holds up neither the stop nor anybody who waits."""
    rig = await open_host(shutdown_timeout_s=0.2)
    await rig.host.create("pump", tiny())
    rig.store.open.clear()
    first = asyncio.create_task(rig.host.submit_samples("pump", samples(tiny(), 1)))
    await rig.store.waiting.wait()
    waiting = asyncio.create_task(rig.host.submit_samples("pump", samples(tiny(), 1, first=2)))
    await asyncio.sleep(0)
    await rig.host.drain()
    for each in (first, waiting):
        with pytest.raises(Problem, match="before this was answered") as refused:
            await each
        assert refused.value.code == "draining"


async def test_a_drain_insists(open_host: OpenHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancellation that gets lost on the way, as it may in a library, does not keep a host from ending."""
    rig = await open_host(lease_s=3)
    asked = asyncio.Event()

    async def deaf() -> str:
        asked.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return ""

    monkeypatch.setattr(rig.store, "run_id", deaf)
    await asyncio.wait_for(asked.wait(), 20)
    await asyncio.wait_for(rig.host.drain(), 20)


async def test_draining_twice_is_draining_once(rig: Rig) -> None:
    """And reading from a host that has stopped is refused, not waited for."""
    await rig.host.create("pump", tiny())
    await rig.host.drain()
    await rig.host.drain()
    with pytest.raises(Problem, match="stopping"):
        await rig.host.describe("pump")
