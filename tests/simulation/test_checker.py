"""The checker finds each kind of broken promise in a history made for it, and nothing in a sound one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from liquid_core.engine.records import Label, Observation, Sample
from tests.simulation.checker import violations
from tests.simulation.fold import fold
from tests.simulation.history import Ack, History, Life, Loss, Read, Removal, Written
from tests.simulation.plans import spec_of

REGRESSION = spec_of(2)
RECORDS: list[Observation] = [
    Sample(seq=1, t=1.0, x=(0.5,)),
    Label(seq=1, y=(0.25,)),
    Sample(seq=2, t=2.0, x=(0.75,)),
    Sample(seq=3, t=3.0, x=(float("nan"),)),
]


def sound() -> History:
    """A stream whose four records were acknowledged at 1, 2, 3 and 4 s, and read at 5 s."""
    folded = fold(REGRESSION, RECORDS, {2, 4})
    life = Life("pump", REGRESSION, born_at=0.5, position=4, states={"in memory": folded.states[4]})
    life.writes = [Written(float(at), at, 1, record) for at, record in enumerate(RECORDS, 1)]
    acks = [Ack("pump", record, at - 0.1, at + 0.1, folded.predictions.get(at)) for at, record in enumerate(RECORDS, 1)]
    read = Read("pump", 5.0, 5.1, last_seq=3, position=4, state=folded.states[4])
    return History(lives=[life], sent={"pump": [*RECORDS]}, acks=acks, reads=[read])


def test_a_sound_history_is_found_sound() -> None:
    assert violations(sound()) == []


def test_more_than_was_acknowledged_may_be_there() -> None:
    """An answer that got lost leaves the outcome open."""
    history = sound()
    del history.acks[2:]

    assert violations(history) == []


@pytest.mark.parametrize("index", [0, 1, 3])
def test_an_acknowledged_record_that_is_missing_is_found(index: int) -> None:
    history = sound()
    ack = replace(history.acks[index], record=_another(RECORDS[index]), predictions=None)
    history.sent["pump"].append(ack.record)
    history.acks.append(ack)

    (violation,) = violations(history)
    assert "was acknowledged" in violation
    assert "though nothing was lost" in violation


def test_a_log_that_is_shorter_than_its_acknowledgements_is_found() -> None:
    history = sound()
    life = history.lives[0]
    life.position, life.states = 3, {"in memory": fold(REGRESSION, RECORDS[:3], {3}).states[3]}
    history.reads.clear()

    assert [violation for violation in violations(history) if "sample 3 was acknowledged" in violation]


def test_a_record_that_is_there_twice_is_found() -> None:
    history = sound()
    history.lives[0].writes.append(Written(5.0, 5, 1, RECORDS[3]))
    history.lives[0].position = 5

    found = " ".join(violations(history))
    assert "more than once" in found
    assert "do not count from one" in found


def test_a_second_label_of_a_sample_is_found() -> None:
    history = sound()
    history.lives[0].writes.append(Written(5.0, 5, 1, Label(seq=1, y=(0.5,))))
    history.lives[0].position = 5
    history.sent["pump"].append(Label(seq=1, y=(0.5,)))

    assert "sample 1 has 2 labels" in " ".join(violations(history))


def test_a_label_before_its_sample_is_found() -> None:
    history = sound()
    history.lives[0].writes[:2] = [Written(1.0, 1, 1, RECORDS[1]), Written(2.0, 2, 1, RECORDS[0])]

    assert "comes before it" in " ".join(violations(history))


def test_a_record_that_nobody_sent_is_found() -> None:
    history = sound()
    history.sent["pump"].remove(RECORDS[0])

    assert "nobody sent" in " ".join(violations(history))


def test_a_gap_in_a_log_is_found() -> None:
    history = sound()
    del history.lives[0].writes[1]

    assert "do not count from one" in " ".join(violations(history))


def test_an_owner_that_writes_after_its_successor_is_found() -> None:
    history = sound()
    history.lives[0].writes[1] = replace(history.lives[0].writes[1], epoch=2)

    assert "epoch 1 at position 3 follows 2" in " ".join(violations(history))


def test_a_position_that_is_written_again_is_found() -> None:
    history = sound()
    history.lives[0].writes.append(Written(9.0, 4, 1, RECORDS[3]))

    (violation,) = violations(history)
    assert "position 4 was written again" in violation


def test_what_the_store_forgot_may_be_written_again() -> None:
    """By a server that still has it."""
    history = sound()
    history.losses.append(Loss(8.0, can_be_healed=True))
    history.lives[0].writes.append(Written(9.0, 4, 1, RECORDS[3]))

    assert violations(history) == []


@pytest.mark.parametrize("can_be_healed", [True, False])
def test_a_loss_is_excused_only_where_it_could_not_be_healed(can_be_healed: bool) -> None:
    history = sound()
    life = history.lives[0]
    life.position, life.states = 3, {"in memory": fold(REGRESSION, RECORDS[:3], {3}).states[3]}
    history.losses.append(Loss(8.0, can_be_healed))

    assert [sentence for sentence in violations(history) if "could be healed" in sentence] == violations(history)
    assert bool(violations(history)) == can_be_healed


def test_another_answer_than_the_folds_is_found() -> None:
    history = sound()
    predictions: Any = [dict(history.acks[0].predictions[0])]
    predictions[0]["y"] = [predictions[0]["y"][0] + 1e-16 or 5e-324]
    history.acks[0] = replace(history.acks[0], predictions=predictions)

    (violation,) = violations(history)
    assert "the answer to sample 1 is not the fold's" in violation


def test_another_state_than_the_folds_is_found() -> None:
    """One bit suffices."""
    history = sound()
    state = bytearray(history.lives[0].states["in memory"])
    state[-1] ^= 1
    history.lives[0].states["in memory"] = bytes(state)

    (violation,) = violations(history)
    assert "its state in memory is not the fold" in violation


def test_a_reader_who_sees_something_else_is_found() -> None:
    history = sound()
    history.reads = [replace(history.reads[0], position=2), replace(history.reads[0], position=5)]

    found = " ".join(violations(history))
    assert "a reader saw another state than 2 records give" in found
    assert "a reader saw 5 records, there are 4" in found


def test_a_reader_who_sees_the_past_is_found() -> None:
    history = sound()
    history.reads = [Read("pump", 5.0, 5.1, last_seq=2)]

    (violation,) = violations(history)
    assert "saw sample 2, 3 had been acknowledged" in violation


def test_a_reader_who_is_told_that_it_may_be_the_past_is_content() -> None:
    history = sound()
    history.reads = [Read("pump", 5.0, 5.1, last_seq=2, stale=True)]

    assert violations(history) == []


def test_a_stream_that_ends_unasked_is_found() -> None:
    history = sound()
    history.lives[0].died_at = 6.0
    assert "nobody was asking for it" in " ".join(violations(history))

    history.removals.append(Removal("pump", 5.5, 6.5))
    assert violations(history) == []


def test_a_failure_is_found() -> None:
    history = sound()
    history.failures.append("it broke")

    assert violations(history) == ["it broke"]


def _another(record: Observation) -> Observation:
    if isinstance(record, Sample):
        return Sample(seq=record.seq, t=record.t, x=(99.0,))
    return Label(seq=record.seq, y=(99.0,))
