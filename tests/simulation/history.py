"""What happened: everything that the checker needs to know about one run, and nothing of how it came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from liquid_core.engine.records import Observation, Record
from liquid_core.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Ack:
    """A sample or label that a client was told is in its stream."""

    stream_id: str
    record: Observation
    sent_at: float
    acked_at: float
    #: What was predicted; `None` for a label, and for a repeated sample whose answer is no longer kept.
    predictions: Any = None
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """A look at a stream."""

    stream_id: str
    begun_at: float
    ended_at: float
    #: Number of the last sample that was seen.
    last_seq: int
    #: Whether the server said that others may know more by now.
    stale: bool = False
    #: Of a look at the whole state: how many records it has applied, and the state file.
    position: int = 0
    state: bytes | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A client heard that the stream is shorter than it thought: the next sample would be this one."""

    stream_id: str
    at: float
    expected_seq: int


@dataclass(frozen=True, slots=True)
class Removal:
    """A client asked for a stream to be removed, and was told that it is gone."""

    stream_id: str
    sent_at: float
    done_at: float


@dataclass(frozen=True, slots=True)
class Written:
    """An entry that reached a stream's log."""

    at: float
    position: int
    epoch: int
    record: Record


@dataclass(frozen=True, slots=True)
class Loss:
    """The store forgot some of its last writes."""

    at: float
    #: Whether a server that ran undisturbed before and after it still had what was forgotten.
    can_be_healed: bool


@dataclass(slots=True)
class Life:
    """A stream from its creation to its removal: what is made anew under the same id is another one."""

    stream_id: str
    spec: ModelSpec
    born_at: float
    died_at: float | None = None
    #: Everything that was ever appended, in the order of time.
    writes: list[Written] = field(default_factory=list)
    #: Position of its last record in the end, as the store has it; 0 where the store does not know the stream.
    position: int = 0
    #: The state file in the end: of the server that served it, and of one that began anew from the store.
    states: dict[str, bytes] = field(default_factory=dict)

    def log(self) -> list[Written]:
        """The records that make the stream: of each position the entry that was written last."""
        last = {written.position: written for written in self.writes}
        return [last[position] for position in sorted(last) if position <= self.position or self.died_at is not None]

    def lived(self, begin: float, end: float) -> bool:
        """Whether it was there at some moment of an interval."""
        return self.born_at <= end and (self.died_at is None or self.died_at >= begin)


@dataclass(slots=True)
class History:
    """One run of the service under faults."""

    lives: list[Life] = field(default_factory=list)
    #: By stream what was sent to it and is sound; what is not must never be found.
    sent: dict[str, list[Record]] = field(default_factory=dict)
    acks: list[Ack] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    #: What must not happen whatever goes wrong: an internal error, a client that never got through.
    failures: list[str] = field(default_factory=list)

    def of(self, stream_id: str) -> Sequence[Life]:
        return [life for life in self.lives if life.stream_id == stream_id]


__all__ = ["Ack", "History", "Life", "Loss", "Read", "Removal", "Told", "Written"]
