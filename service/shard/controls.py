"""Controls on the pipeline: admitted and logged like samples, and applied one by one.

A command has its stream's part of a micro-batch for itself, so that what waits behind it is admitted by what the stream
has become: under another spec a sample may have another number of values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import structlog

from liquid_core.engine.records import Control, Freeze, Restore, SpecChange, Unfreeze
from service import clock
from service.metrics import Metrics
from service.problems import Problem
from service.shard.batcher import Waiting
from service.shard.commands import Applied, Command
from service.shard.models import EngineRoom
from service.shard.streams import HotStream, advance

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AdmittedControl:
    """A control that its stream may apply."""

    waiting: Waiting
    record: Control
    position: int

    @property
    def stream(self) -> HotStream:
        return self.waiting.stream


class Controls:
    """Admits commands and applies their controls."""

    def __init__(self, room: EngineRoom, metrics: Metrics) -> None:
        self._room = room
        self._metrics = metrics

    def admit(self, waiting: Waiting, command: Command) -> AdmittedControl | Applied:
        """Check a command against its stream, which is left alone where it is so already.

        Raises
        ------
        Problem
            One of the command's conditions does not hold.
        """
        stream = waiting.stream
        try:
            for condition in command.conditions:
                condition(stream)
        except Problem:
            self._count(command.control, "rejected")
            raise
        if _is_so(stream, command.control):
            self._count(command.control, "duplicate")
            return Applied(duplicate=True)
        stream.position += 1
        stream.changed_at = clock.now()
        return AdmittedControl(waiting=waiting, record=command.control, position=stream.position)

    async def apply(self, admitted: Iterable[AdmittedControl]) -> dict[int, Applied]:
        """Apply controls that are in their logs; the outcome of each by its identity."""
        outcomes = {}
        for each in admitted:
            await self._room.run(partial(advance, self._room, each.stream, [each.record]))
            self._count(each.record, "applied")
            log.info("control_applied", stream_id=each.stream.id, control=_name(each.record), position=each.position)
            outcomes[id(each)] = Applied(duplicate=False)
        return outcomes

    def _count(self, control: Control, result: str) -> None:
        self._metrics.controls.labels(control=_name(control), result=result).inc()


def wants_snapshot(control: Control) -> bool:
    """Whether a replay should not have to apply it: it is as large as a snapshot, or needs two models."""
    return isinstance(control, Restore | SpecChange)


def _is_so(stream: HotStream, control: Control) -> bool:
    if isinstance(control, Freeze | Unfreeze):
        return stream.ledger.frozen == isinstance(control, Freeze)
    return isinstance(control, SpecChange) and control.spec == stream.spec


def _name(control: Control) -> str:
    tag = type(control).__struct_config__.tag
    assert isinstance(tag, str)
    return tag


__all__ = ["AdmittedControl", "Controls", "wants_snapshot"]
