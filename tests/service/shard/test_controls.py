"""What can be done to a stream beside feeding it: in order with its samples, logged once, and exact in every replay."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_core.engine.engine import build_engine
from liquid_core.fold import fold
from liquid_core.spec import ModelSpec
from service.messages import MAX_STATE_BYTES, SampleIn
from service.problems import Problem
from service.settings import Settings
from service.shard.verbs import MAX_PINNED

from .conftest import Arrays, Fold, OpenHost, Rig, assert_same, refusals, samples, tiny, until


def later(given: list[SampleIn], by: int, *, seconds: float = 0.0) -> list[SampleIn]:
    """The same samples with higher numbers, and at later times."""
    return [SampleIn(seq=each.seq + by, t=each.t + seconds, x=each.x, y=each.y) for each in given]  # type: ignore[operator]


async def refused(call: Any, code: str) -> Problem:
    """The problem that a call is answered with; it must have this code."""
    with pytest.raises(Problem) as caught:
        await call
    assert caught.value.code == code, caught.value.detail
    return caught.value


async def folded(rig: Rig, stream_id: str) -> Arrays:
    """What the store's log alone makes of a stream, from the spec that it was created with."""
    stored = await rig.stored(stream_id)
    assert stored.snapshot is None
    spec = ModelSpec.from_json(_spec_of_meta(stored.meta))
    first = build_engine(spec, Settings().engine)
    records = [entry.record for entry in stored.entries]
    engine, row = fold(first, first.initial_row(), records, lambda spec: build_engine(spec, Settings().engine))
    return {name: view[0] for name, view in engine.layout.views(row[None]).items()}


def _spec_of_meta(meta: bytes) -> bytes:
    return json.dumps(json.loads(meta)["spec"]).encode()


# --- freeze and reset ------------------------------------------------------------------------------------------------


async def test_freezing_twice_is_freezing_once(rig: Rig) -> None:
    """It can be sent again at will: one record, one flag, and no weight moves until it is lifted."""
    spec = tiny()
    await rig.host.create("pump", spec)
    await rig.host.submit_samples("pump", samples(spec, 10))
    assert (await rig.host.verbs.freeze("pump", None)).frozen
    frozen = await rig.host.verbs.freeze("pump", None)
    before = await rig.arrays("pump")
    await rig.host.submit_samples("pump", samples(spec, 10, first=11))
    after = await rig.arrays("pump")

    assert frozen.frozen
    assert before["stream.records"] == 11
    np.testing.assert_array_equal(after["network.weights"], before["network.weights"])
    assert (await rig.host.describe("pump")).updates == frozen.updates
    assert not (await rig.host.verbs.unfreeze("pump", None)).frozen
    await rig.host.submit_samples("pump", samples(spec, 5, first=21))
    assert (await rig.host.describe("pump")).updates == frozen.updates + 5
    assert rig.value("controls_total", control="freeze", result="applied") == 1
    assert rig.value("controls_total", control="freeze", result="duplicate") == 1


async def test_commands_keep_their_place_among_samples(rig: Rig) -> None:
    """Sent together, they are applied in the order in which they came: the log has it, and the state is its fold."""
    spec = tiny("regression")
    await rig.host.create("meter", spec)
    sent = samples(spec, 30)
    await asyncio.gather(
        rig.host.submit_samples("meter", sent[:12]),
        rig.host.verbs.freeze("meter", None),
        rig.host.submit_samples("meter", sent[12:20]),
        rig.host.verbs.reset("meter", None),
        rig.host.verbs.unfreeze("meter", None),
        rig.host.submit_samples("meter", sent[20:]),
    )
    kinds = [type(entry.record).__name__ for entry in (await rig.stored("meter")).entries]

    assert kinds == ["Sample"] * 12 + ["Freeze"] + ["Sample"] * 8 + ["Reset", "Unfreeze"] + ["Sample"] * 10
    assert_same(await rig.arrays("meter"), await folded(rig, "meter"))


async def test_a_reset_stream_learns_anew_and_counts_on(rig: Rig) -> None:
    """Its next sample is number 11, a repeated one gets the answer it got, and learning knows nothing of the past."""
    spec = tiny()
    await rig.host.create("pump", spec)
    first = await rig.host.submit_samples("pump", samples(spec, 10))
    info = await rig.host.verbs.reset("pump", None)
    again = await rig.host.submit_samples("pump", samples(spec, 10)[9:])
    results = await rig.host.submit_samples("pump", samples(spec, 10, first=11))
    fold = Fold(spec).apply(*samples(spec, 10, first=11))

    assert (info.last_seq, info.samples, info.updates) == (10, 0, 0)
    assert info.last_t == samples(spec, 10)[9].t
    assert again[0].predictions == first[9].predictions  # type: ignore[union-attr]
    assert again[0].duplicate  # type: ignore[union-attr]
    assert [result.predictions for result in results] == [*fold.answers.values()]  # type: ignore[union-attr]


async def test_a_reset_on_a_condition_meets_no_sample_that_came_in_between(rig: Rig) -> None:
    """`if_seq` is looked at when the command's turn comes; the refusal says where the stream is."""
    spec = tiny()
    await rig.host.create("pump", spec)
    await rig.host.submit_samples("pump", samples(spec, 5))
    await rig.host.verbs.reset("pump", 5)
    await rig.host.verbs.reset("pump", 5)  # a retry
    await rig.host.submit_samples("pump", samples(spec, 1, first=6))
    problem = await refused(rig.host.verbs.reset("pump", 5), "seq_conflict")

    assert problem.extensions["expected_seq"] == 7
    assert (await rig.host.describe("pump")).samples == 1
    assert rig.value("controls_total", control="reset", result="rejected") == 1


@pytest.mark.parametrize("fault", ["never sent", "lost answer"])
async def test_a_command_that_did_not_reach_the_log_did_nothing(rig: Rig, fault: str) -> None:
    """Nobody is told that it did; sent again it is applied, once, whether or not it had arrived after all."""
    spec = tiny()
    await rig.host.create("pump", spec)
    await rig.host.submit_samples("pump", samples(spec, 5))
    rig.store.faults.extend([fault] * 3)
    await refused(rig.host.verbs.freeze("pump", None), "store_unavailable")
    await until(lambda: rig.host.readiness().ready)
    info = await rig.host.verbs.freeze("pump", None)

    assert info.frozen
    assert [type(entry.record).__name__ for entry in (await rig.stored("pump")).entries].count("Freeze") == 1
    assert_same(await rig.arrays("pump"), await folded(rig, "pump"))


# --- snapshots and rollback ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["forecast", "regression", "classification", "wired"])
async def test_after_a_rollback_a_stream_answers_as_if_nothing_had_come_since(rig: Rig, task: str) -> None:
    """Bit for bit; only the numbers of what came are spent."""
    spec = tiny(task)
    await rig.host.create("s", spec)
    await rig.host.submit_samples("s", samples(spec, 20))
    pinned = await rig.host.verbs.pin("s")
    await rig.host.submit_samples("s", samples(spec, 15, first=21, phase=2.0))
    info = await rig.host.verbs.rollback("s", pinned.position, 35)
    future = samples(spec, 10, first=36)
    results = await rig.host.submit_samples("s", future)
    fold = Fold(spec).apply(*samples(spec, 20), *future)

    assert (pinned.seq, info.last_seq, info.samples) == (20, 35, 20)
    assert [result.predictions for result in results] == [fold.answers[seq] for seq in range(36, 46)]  # type: ignore[union-attr]


async def test_what_a_stream_can_go_back_to_is_listed(open_host: OpenHost) -> None:
    """What was pinned, with its time, and the service's own two; each of them can be gone back to."""
    spec = tiny()
    rig = await open_host(snapshot_every=4)
    await rig.host.create("pump", spec)
    await rig.host.submit_samples("pump", samples(spec, 5))
    pinned = await rig.host.verbs.pin("pump")
    for seq in range(6, 14):
        await rig.host.submit_samples("pump", samples(spec, 1, first=seq))
        await rig.at_rest()
    listed = (await rig.host.verbs.snapshots("pump")).snapshots

    assert [(each.position, each.seq) for each in listed if each.pinned] == [(5, 5)]
    assert listed[0].created_at == pinned.created_at
    own = [each for each in listed if not each.pinned]
    assert len(own) == 2
    assert all(each.position == each.seq and each.created_at is None for each in own)
    back = await rig.host.verbs.rollback("pump", own[0].position, None)
    assert (back.samples, back.last_seq) == (own[0].seq, 13)
    await refused(rig.host.verbs.rollback("pump", 3, None), "snapshot_not_found")


async def test_pinned_snapshots_are_bounded(rig: Rig) -> None:
    """The ninth is refused until one is deleted; pinning the same state again is the same snapshot."""
    spec = tiny()
    await rig.host.create("pump", spec)
    for seq in range(1, MAX_PINNED + 1):
        await rig.host.submit_samples("pump", samples(spec, 1, first=seq))
        await rig.host.verbs.pin("pump")
    again = await rig.host.verbs.pin("pump")
    await rig.host.submit_samples("pump", samples(spec, 1, first=MAX_PINNED + 1))
    await refused(rig.host.verbs.pin("pump"), "too_many_snapshots")
    await rig.host.verbs.unpin("pump", 1)
    await rig.host.verbs.pin("pump")

    assert again.position == MAX_PINNED
    pinned = [each.position for each in (await rig.host.verbs.snapshots("pump")).snapshots if each.pinned]
    assert pinned == list(range(2, MAX_PINNED + 2))
    await refused(rig.host.verbs.unpin("pump", 1), "snapshot_not_found")


async def test_snapshots_go_with_their_stream(rig: Rig) -> None:
    """A new stream of the same id has none."""
    spec = tiny()
    await rig.host.create("pump", spec)
    await rig.host.submit_samples("pump", samples(spec, 3))
    await rig.host.verbs.pin("pump")
    await rig.host.delete("pump")
    await rig.host.create("pump", spec)

    assert (await rig.host.verbs.snapshots("pump")).snapshots == []
    await refused(rig.host.verbs.rollback("pump", 3, None), "snapshot_not_found")


async def test_a_rollback_goes_back_behind_a_change_of_spec(rig: Rig) -> None:
    """A snapshot brings the spec that it was made under."""
    spec = tiny()
    await rig.host.create("pump", spec)
    await rig.host.submit_samples("pump", samples(spec, 8))
    pinned = await rig.host.verbs.pin("pump")
    await rig.host.verbs.change_spec("pump", {"cell": {"units": 6}})
    info = await rig.host.verbs.rollback("pump", pinned.position, None)

    assert info.spec == spec
    assert info.samples == 8


# --- forks -----------------------------------------------------------------------------------------------------------


async def test_a_fork_begins_as_its_origin_is_and_goes_its_own_way(rig: Rig) -> None:
    """Both answer the same to the same; what one of them gets does not touch the other."""
    spec = tiny("regression")
    await rig.host.create("meter", spec)
    await rig.host.submit_samples("meter", samples(spec, 20))
    info = await rig.host.verbs.fork("meter", "trial")
    there = await rig.host.submit_samples("trial", samples(spec, 10, first=21))
    untouched = await rig.host.describe("meter")
    here = await rig.host.submit_samples("meter", samples(spec, 10, first=21))

    assert (info.id, info.last_seq, info.samples) == ("trial", 20, 20)
    assert untouched.last_seq == 20
    assert [result.predictions for result in there] == [result.predictions for result in here]  # type: ignore[union-attr]
    assert (await rig.stored("trial")).entries == [] or (await rig.arrays("trial"))["stream.records"] == 11


async def test_a_fork_takes_the_place_of_nothing_but_an_unused_stream(rig: Rig) -> None:
    """One that has had a record stays as it is; one that a crash left unused can become the fork."""
    spec = tiny()
    for name in ("pump", "used", "unused"):
        await rig.host.create(name, spec)
    await rig.host.create("other", tiny(seed=3))
    for name in ("pump", "used"):
        await rig.host.submit_samples(name, samples(spec, 6))
    await refused(rig.host.verbs.fork("pump", "used"), "stream_exists")
    await refused(rig.host.verbs.fork("pump", "other"), "spec_conflict")
    await refused(rig.host.verbs.fork("nobody", "new"), "stream_not_found")

    assert (await rig.host.verbs.fork("pump", "unused")).last_seq == 6
    await refused(rig.host.verbs.fork("pump", "unused"), "stream_exists")


# --- another spec ----------------------------------------------------------------------------------------------------


async def test_a_tuned_stream_goes_on_with_what_it_learned(rig: Rig) -> None:
    """From the next sample on at the new rate; the same change again changes nothing."""
    spec = tiny()
    await rig.host.create("pump", spec)
    await rig.host.submit_samples("pump", samples(spec, 12))
    before = await rig.arrays("pump")
    patch = {"learner": {"learning_rate": 0.02}, "late": "clamp"}
    info = await rig.host.verbs.change_spec("pump", patch)
    after = await rig.arrays("pump")
    again = await rig.host.verbs.change_spec("pump", patch)

    assert (info.spec.learner.learning_rate, info.spec.late, info.samples) == (0.02, "clamp", 12)
    np.testing.assert_array_equal(after["network.weights"], before["network.weights"])
    assert again == info
    assert (await rig.arrays("pump"))["stream.records"] == 13


async def test_samples_behind_a_change_are_judged_by_the_new_spec(rig: Rig) -> None:
    """Sent at once with it: those before it have two values, those behind it three."""
    spec, wider = tiny(), tiny(features=["flow", "pressure", "heat"])
    await rig.host.create("pump", spec)
    wide = [SampleIn(t=each.t, x=[*each.x, 1.0], seq=each.seq) for each in samples(spec, 9, first=7)]
    rig.store.open.clear()  # what is sent first waits for the store, and all else behind it
    sent = [asyncio.create_task(rig.host.submit_samples("pump", [each])) for each in samples(spec, 6)]
    await rig.store.waiting.wait()
    before = rig.host._batcher.pending
    patch = {"features": list(wider.features), "targets": None}
    change = asyncio.create_task(rig.host.verbs.change_spec("pump", patch))
    await until(lambda: rig.host._batcher.pending == before + 1)
    behind = [asyncio.create_task(rig.host.submit_samples("pump", each)) for each in (wide, samples(spec, 1, first=16))]
    await until(lambda: rig.host._batcher.pending == before + 11)
    rig.store.open.set()

    assert [refusals(await each) for each in sent] == [[None]] * 6
    assert (await change).spec == wider
    assert [refusals(await each) for each in behind] == [[None] * 9, ["dimension"]]
    info = await rig.host.describe("pump")
    assert (info.spec, info.last_seq, info.samples) == (wider, 15, 9)
    assert (await rig.host.create("pump", wider))[1] is False
    await refused(rig.host.create("pump", spec), "spec_conflict")


@pytest.mark.parametrize(
    "patch", [{"task": "poetry"}, {"learner": {"window": 0}}, {"horizon": []}, {"unknown": 1}, {"features": None}]
)
async def test_a_change_that_makes_no_spec_is_refused(rig: Rig, patch: dict[str, Any]) -> None:
    """And nothing is logged."""
    await rig.host.create("pump", tiny())
    await refused(rig.host.verbs.change_spec("pump", patch), "spec_invalid")

    assert (await rig.host.describe("pump")).spec == tiny()
    assert (await rig.stored("pump")).entries == []


async def test_another_kind_keeps_none_of_the_old_ones_settings(rig: Rig) -> None:
    """A patch may say no more than the kind."""
    await rig.host.create("pump", tiny())
    info = await rig.host.verbs.change_spec(
        "pump", {"cell": {"kind": "ltc", "ode_unfolds": 2}, "learner": {"window": 2}}
    )

    assert info.spec.cell_spec.kind == "ltc"
    assert info.spec.learner.window == 2
    assert info.spec.learner.warmup == tiny().learner.warmup


# --- states from elsewhere -------------------------------------------------------------------------------------------


async def test_an_exported_state_can_be_taken_over(rig: Rig) -> None:
    """By a new stream, or in place of what another one was: all but the length of the log is the same."""
    spec = tiny("classification")
    await rig.host.create("valve", spec)
    await rig.host.submit_samples("valve", samples(spec, 20))
    state = await rig.host.export_state("valve")
    made, created = await rig.host.verbs.import_state("twin", state)
    await rig.host.create("third", spec)
    await rig.host.submit_samples("third", samples(spec, 3, phase=1.0))
    _, replaced = await rig.host.verbs.import_state("third", state)
    expected = await rig.arrays("valve")

    assert (created, replaced, made.last_seq) == (True, False, 20)
    for name, length in (("twin", 1), ("third", 4)):
        arrays = await rig.arrays(name)
        assert arrays["stream.records"] == length
        assert_same(arrays | {"stream.records": expected["stream.records"]}, expected)


async def test_a_state_of_another_spec_does_not_change_a_streams(rig: Rig) -> None:
    """That is what a change of spec is for."""
    await rig.host.create("pump", tiny())
    await rig.host.create("other", tiny(seed=9))
    await refused(rig.host.verbs.import_state("pump", await rig.host.export_state("other")), "spec_conflict")


async def test_what_is_no_state_is_refused(rig: Rig) -> None:
    """Noise, a cut file, numbers that no learner makes, and more than is taken at once; no stream is made for it."""
    spec = tiny()
    await rig.host.create("pump", spec)
    await rig.host.submit_samples("pump", samples(spec, 5))
    state = await rig.host.export_state("pump")
    arrays = await rig.arrays("pump")
    wild = state.replace(arrays["clock.gap"].tobytes(), np.float64(-1.0).tobytes())
    assert wild != state
    for bad in (b"", b"noise" * 99, state[:-3], wild):
        await refused(rig.host.verbs.import_state("new", bad), "state_invalid")
    await refused(rig.host.verbs.import_state("new", bytes(MAX_STATE_BYTES + 1)), "state_too_large")
    await refused(rig.host.describe("new"), "stream_not_found")


# --- recovery --------------------------------------------------------------------------------------------------------

VERBS = st.sampled_from(
    ["samples", "samples", "samples", "reset", "freeze", "unfreeze", "pin", "rollback", "tune", "change"]
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(verbs=st.lists(st.tuples(VERBS, st.integers(0, 7)), min_size=3, max_size=14), every=st.sampled_from([3, 1000]))
async def test_another_host_finds_the_stream_as_it_was(
    open_host: OpenHost, verbs: list[tuple[str, int]], every: int
) -> None:
    """Whatever was done to it, in whichever order: snapshot and log give the same spec and the same bits."""
    rig = await open_host(snapshot_every=every)
    name = f"s{np.random.default_rng().integers(2**40)}"
    spec = tiny("regression")
    await rig.host.create(name, spec)
    seq, pinned = 0, [0]
    for verb, choice in verbs:
        if verb == "samples":
            await rig.host.submit_samples(name, samples(spec, choice + 1, first=seq + 1))
            seq += choice + 1
        elif verb == "pin":
            pinned.append((await rig.host.verbs.pin(name)).position)
        elif verb == "rollback" and len(pinned) > 1:
            await rig.host.verbs.rollback(name, pinned[1 + choice % (len(pinned) - 1)], None)
        elif verb == "tune":
            await rig.host.verbs.change_spec(name, {"learner": {"learning_rate": 0.001 * (choice + 1)}})
        elif verb == "change":
            await rig.host.verbs.change_spec(name, {"seed": choice})
        elif verb in ("reset", "freeze", "unfreeze"):
            await getattr(rig.host.verbs, verb)(name, None)
        if len(set(pinned)) > MAX_PINNED:
            break
    await rig.at_rest()
    info, arrays = await rig.host.describe(name), await rig.arrays(name)
    other = await open_host()

    assert_same(await other.arrays(name), arrays)
    assert (await other.host.describe(name)).spec == info.spec
    await rig.close()
