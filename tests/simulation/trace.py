"""The trace: what happened in a run, a line each, for whoever plays a seed again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

#: Log events that no fault excuses.
_NEVER = frozenset(
    {"micro_batch_failed", "pipeline_failed", "keeper_failed", "upkeep_failed", "warm_up_failed", "task_failed"}
)
_INFO = 20


@dataclass(slots=True)
class Trace:
    """Moments with what happened then, in order.

    Parameters
    ----------
    now_s
        Time of the run.
    on_failure
        Told of what must not be logged, whatever goes wrong.
    """

    now_s: Callable[[], float]
    on_failure: Callable[[str], None]
    #: Time, who, and what.
    lines: list[tuple[float, str, str]] = field(default_factory=list)

    def note(self, event: str) -> None:
        self.lines.append((self.now_s(), "world", event))

    @contextmanager
    def of_the_log(self) -> Iterator[None]:
        """Meanwhile what the service logs comes here, and nowhere else."""
        before = structlog.get_config()
        structlog.configure(processors=[self._record], wrapper_class=structlog.make_filtering_bound_logger(_INFO))
        try:
            yield
        finally:
            structlog.configure(**before)

    def _record(self, _: Any, level: str, event: MutableMapping[str, Any]) -> str:
        name = str(event.pop("event"))
        error = event.pop("exc_info", None)
        if error is True:
            error = repr(sys.exc_info()[1])
        facts = _facts(event) + (f" {error}" if error else "")
        self.lines.append((self.now_s(), "log", f"{level}: {name}{facts}"))
        if name in _NEVER and level == "error":
            self.on_failure(f"{name}{facts}")
        raise structlog.DropEvent


def _facts(facts: Mapping[str, object]) -> str:
    return "".join(f" {name}={value}" for name, value in facts.items())


__all__ = ["Trace"]
