"""The checker: whether a history is one that the service promises.

Each rule is a generator of violations, a sentence each; a history that keeps all promises has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

from liquid_core.engine.records import Label, Record, Sample
from tests.simulation.fold import fold
from tests.simulation.history import Ack, History, Life, Written

#: Time that a server needs, at most, to find out what the store has lost, and to give it back.
SETTLED_S = 12.0

Rule = Callable[[History], Iterator[str]]


def violations(history: History) -> list[str]:
    """Every promise that the history breaks."""
    return [sentence for rule in RULES for sentence in rule(history)]


def nothing_fails(history: History) -> Iterator[str]:
    """No internal error, and every client gets through once faults have ended."""
    yield from history.failures


def logs_are_in_order(history: History) -> Iterator[str]:
    """Positions count from one, samples too, and a label comes once and after its sample."""
    for life in history.lives:
        log = life.log()
        if [written.position for written in log] != [*range(1, len(log) + 1)]:
            yield f"{_name(life)}: positions {[written.position for written in log]} do not count from one"
        seqs = [written.record.seq for written in log if isinstance(written.record, Sample)]
        if seqs != [*range(1, len(seqs) + 1)]:
            yield f"{_name(life)}: samples {seqs} do not count from one"
        seen: set[int] = set()
        labelled = Counter(written.record.seq for written in log if isinstance(written.record, Label))
        for written in log:
            if isinstance(written.record, Sample):
                seen.add(written.record.seq)
            elif isinstance(written.record, Label) and written.record.seq not in seen:
                yield f"{_name(life)}: the label of sample {written.record.seq} comes before it"
        for seq, count in labelled.items():
            if count > 1:
                yield f"{_name(life)}: sample {seq} has {count} labels"


def nothing_is_invented(history: History) -> Iterator[str]:
    """What is in a log was sent to its stream."""
    for life in history.lives:
        sent = {_key(record) for record in history.sent.get(life.stream_id, ())}
        for written in life.writes:
            if _key(written.record) not in sent:
                yield f"{_name(life)}: nobody sent {short(written.record)}"


def owners_follow_each_other(history: History) -> Iterator[str]:
    """Epochs never fall, neither along a log nor in time: who was replaced writes no more."""
    for life in history.lives:
        for before, after in pairwise(life.log()):
            if after.epoch < before.epoch:
                yield f"{_name(life)}: epoch {after.epoch} at position {after.position} follows {before.epoch}"


def nothing_is_written_twice(history: History) -> Iterator[str]:
    """A position is written once, and in its turn, but for what the store had forgotten."""
    for life in history.lives:
        at: dict[int, Written] = {}
        for written in life.writes:
            before = at.get(written.position)
            if before is not None and _loss_between(history, before.at, written.at) is None:
                yield f"{_name(life)}: position {written.position} was written again at {written.at:.3f} s"
            at[written.position] = written


def acknowledged_is_kept(history: History) -> Iterator[str]:
    """What a client was told is there, is there once, unless it could not be helped."""
    for ack in history.acks:
        lives = [life for life in history.of(ack.stream_id) if life.lived(ack.sent_at, ack.acked_at)]
        counts = [sum(_says(written.record, ack.record) for written in life.log()) for life in lives]
        if sum(count == 1 for count in counts) >= 1 and all(count <= 1 for count in counts):
            continue
        if any(count > 1 for count in counts):
            yield f"{ack.stream_id}: {short(ack.record)} is there more than once"
        elif not _excused(history, ack):
            yield (
                f"{ack.stream_id}: {short(ack.record)} was acknowledged at {ack.acked_at:.3f} s and is not there, "
                f"{'though it could be healed' if _loss_at(history, ack) else 'though nothing was lost'}"
            )


def streams_end_on_request_only(history: History) -> Iterator[str]:
    """A stream is removed while somebody asks for it, and never after they were told that it is done."""
    for life in history.lives:
        if life.died_at is None:
            continue
        asked = [removal for removal in history.removals if removal.stream_id == life.stream_id]
        if not any(removal.sent_at <= life.died_at <= removal.done_at for removal in asked):
            yield f"{_name(life)}: it was removed at {life.died_at:.3f} s, and nobody was asking for it"


def answers_are_the_folds(history: History) -> Iterator[str]:
    """Every prediction that was served is what the records before it give, bit for bit."""
    for life in history.lives:
        records = [written.record for written in life.log()]
        folded = fold(life.spec, records, ())
        at = {_key(record): index for index, record in enumerate(records, 1)}
        for ack in history.acks:
            if ack.stream_id != life.stream_id or ack.predictions is None:
                continue
            position = at.get(_key(ack.record))
            alone = sum(other.lived(ack.sent_at, ack.acked_at) for other in history.of(ack.stream_id)) == 1
            if position is None or not alone or not life.lived(ack.sent_at, ack.acked_at) or _loss_at(history, ack):
                continue
            if ack.predictions != folded.predictions[position]:
                yield f"{_name(life)}: the answer to sample {ack.record.seq} is not the fold's"


def states_are_the_folds(history: History) -> Iterator[str]:
    """In the end a stream is the fold of its log, in memory and after a start from the store, bit for bit."""
    for life in history.lives:
        if life.died_at is not None:
            continue
        records = [written.record for written in life.log()]
        expected = fold(life.spec, records, {len(records)}).states[len(records)]
        for where, state in life.states.items():
            if state != expected:
                yield f"{_name(life)}: its state {where} is not the fold of its {len(records)} records"


def reads_are_prefixes(history: History) -> Iterator[str]:
    """Whoever looks at a stream's state sees the fold of the beginning of its log."""
    for read in history.reads:
        lives = [life for life in history.of(read.stream_id) if life.lived(read.begun_at, read.ended_at)]
        if read.state is None or len(lives) != 1 or _loss_since(history, read.begun_at):
            continue
        records = [written.record for written in lives[0].log()]
        if read.position > len(records):
            yield f"{_name(lives[0])}: a reader saw {read.position} records, there are {len(records)}"
        elif read.state != fold(lives[0].spec, records[: read.position], {read.position}).states[read.position]:
            yield f"{_name(lives[0])}: a reader saw another state than {read.position} records give"


def reads_are_fresh(history: History) -> Iterator[str]:
    """Who looks after an acknowledgement sees what was acknowledged, or is told that it may be old."""
    for read in history.reads:
        lives = [life for life in history.of(read.stream_id) if life.lived(read.begun_at, read.ended_at)]
        if read.stale or len(lives) != 1 or _loss_between(history, 0.0, read.ended_at) is not None:
            continue
        there = {_key(written.record) for written in lives[0].log()}
        acked = [
            ack.record.seq
            for ack in history.acks
            if ack.stream_id == read.stream_id and ack.acked_at < read.begun_at and ack.sent_at >= lives[0].born_at
            if isinstance(ack.record, Sample) and _key(ack.record) in there
        ]
        if acked and max(acked) > read.last_seq:
            yield (
                f"{_name(lives[0])}: a reader at {read.begun_at:.3f} s saw sample {read.last_seq}, "
                f"{max(acked)} had been acknowledged"
            )


RULES: tuple[Rule, ...] = (
    nothing_fails,
    logs_are_in_order,
    nothing_is_invented,
    owners_follow_each_other,
    nothing_is_written_twice,
    acknowledged_is_kept,
    streams_end_on_request_only,
    answers_are_the_folds,
    states_are_the_folds,
    reads_are_prefixes,
    reads_are_fresh,
)


def _excused(history: History, ack: Ack) -> bool:
    """Whether the store lost the record when no server that had it could give it back.

    Whoever goes on with such a stream is told, because a log without gaps takes no sample that skips the lost ones.
    """
    return any(loss.at > ack.sent_at and not loss.can_be_healed for loss in history.losses)


def _loss_at(history: History, ack: Ack) -> bool:
    return any(loss.at > ack.sent_at for loss in history.losses)


def _loss_since(history: History, moment: float) -> bool:
    """Whether what was read then may be lost by now, or was about to be."""
    return any(loss.at > moment - SETTLED_S for loss in history.losses)


def _loss_between(history: History, begin: float, end: float) -> float | None:
    return next((loss.at for loss in history.losses if begin < loss.at <= end), None)


def _says(written: Record, acked: Record) -> bool:
    """Whether a record in the log is what was acknowledged; a label may have come with its sample before."""
    if isinstance(acked, Label) and isinstance(written, Sample):
        return written.seq == acked.seq and written.y == acked.y
    return _key(written) == _key(acked)


def _key(record: Record) -> str:
    """What tells records apart; their own equality takes two missing values for different."""
    return repr(record)


def short(record: Record) -> str:
    """A record for people: its kind, and the number of the sample that it is, or is about."""
    number = f" {record.seq}" if isinstance(record, Sample | Label) else ""
    return f"{type(record).__name__.lower()}{number}"


def _name(life: Life) -> str:
    return f"{life.stream_id} of {life.born_at:.3f} s"


__all__ = ["RULES", "SETTLED_S", "short", "violations"]
