"""Commands: what a client does to a stream beside feeding it, on its way to become a control in the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from liquid_core.engine.records import Control
from service.problems import Problem
from service.shard.streams import HotStream

#: Raises `Problem` where a stream is not, or not any more, as the command supposes.
Condition = Callable[[HotStream], None]


@dataclass(frozen=True, slots=True)
class Command:
    """A control, and what must hold of the stream when its turn has come."""

    control: Control
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """The answer to a command."""

    #: The stream was so already, and nothing was logged.
    duplicate: bool


def is_still(incarnation: str) -> Condition:
    """The stream is the one that was looked at, and no other of the same id."""

    def check(stream: HotStream) -> None:
        if stream.incarnation != incarnation:
            raise Problem("stream_not_found", "the stream was deleted meanwhile, and another one made.")

    return check


def has_seq(seq: int | None) -> Condition:
    """The last sample has this number; `None` asks for nothing."""

    def check(stream: HotStream) -> None:
        last = stream.ledger.last_seq
        if seq is not None and seq != last:
            raise Problem(
                "seq_conflict",
                f"the stream's last sample is number {last} by now; look at it again before you decide.",
                expected_seq=last + 1,
            )

    return check


def has_spec(digest: str) -> Condition:
    """The spec is the one that a change was made from."""

    def check(stream: HotStream) -> None:
        if stream.spec.digest != digest:
            raise Problem(
                "spec_conflict", "the stream's spec has just been changed by somebody else; look at it again."
            )

    return check


def is_empty(stream: HotStream) -> None:
    """It has had no record: nothing is lost by what it is to become."""
    if stream.position > 0:
        raise Problem("stream_exists", "a stream of this id is there and has been used; take another id, or delete it.")


__all__ = ["Applied", "Command", "Condition", "has_seq", "has_spec", "is_empty", "is_still"]
