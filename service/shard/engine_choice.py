"""Which engine steps the streams of this server: decided when it starts, and then said wherever an operator looks."""

from __future__ import annotations

import os
from dataclasses import dataclass

from liquid_core.engine import EngineKind, native_status
from liquid_core.errors import EngineUnavailableError


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The engine of every spec whose cell it knows; the reference engine steps the others beside it."""

    #: As it was asked for.
    kind: EngineKind
    #: ``native`` or ``torch``.
    name: str
    #: Instruction set of the native kernels, such as ``x86-64-v3``; empty for torch.
    isa: str = ""
    #: Why it is the reference though nobody asked for it, and what to do about it.
    fallback: str | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.isa}".rstrip()


def choose_engine(kind: EngineKind) -> EngineChoice:
    """What `kind` comes to on this machine.

    Raises
    ------
    EngineUnavailableError
        "native" was asked for, and there are no kernels that run here; the message says why and what to do.
    """
    if kind == "torch":
        return EngineChoice(kind, "torch")
    status = native_status()
    if status.available:
        return EngineChoice(kind, "native", status.isa)
    if kind == "native":
        raise EngineUnavailableError(f"the engine `native` was asked for, but {status.reason}")
    return EngineChoice(kind, "torch", fallback=status.reason)


def threads_of(setting: int) -> int:
    """Threads of the engine: as set, or for 0 one for each processor that this process may use."""
    if setting:
        return setting
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


__all__ = ["EngineChoice", "choose_engine", "threads_of"]
