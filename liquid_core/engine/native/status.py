"""Whether native kernels are there, and which of their builds this processor runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from liquid_core.errors import EngineUnavailableError

#: Names the instruction set to use instead of the best one: `x86-64-v2`, `x86-64-v3`, `x86-64-v4`, `arm64`.
ISA_VARIABLE = "LIQUID_ISA"


@dataclass(frozen=True, slots=True)
class NativeStatus:
    """What there is to say about the kernels of this installation."""

    available: bool
    #: Instruction set of the kernels in use, such as ``x86-64-v3``; empty where there are none.
    isa: str = ""
    #: Why there are none, and what to do about it; empty where there are.
    reason: str = ""


def load_kernels() -> ModuleType:
    """The extension module.

    Raises
    ------
    EngineUnavailableError
        It was not built here, or this processor cannot run it; the message says which and what to do.
    """
    try:
        kernels = import_module("liquid_core.engine.native._kernels")
    except ImportError as error:
        raise EngineUnavailableError(
            f"the native kernels were not built here ({error}); install a C++17 compiler and liquidstream again."
        ) from error
    if not kernels.supported():
        raise EngineUnavailableError(
            "this processor runs none of the instruction sets that kernels were built for: "
            f"{', '.join(kernels.built())}."
        )
    wanted = os.environ.get(ISA_VARIABLE)
    if wanted is not None and wanted not in kernels.supported():
        raise EngineUnavailableError(
            f"{ISA_VARIABLE}={wanted} is not among the instruction sets that can be used here: "
            f"{', '.join(kernels.supported())}."
        )
    return kernels


def chosen_isa(kernels: ModuleType) -> str:
    """The instruction set to use: the best one, or the one that the environment names."""
    return os.environ.get(ISA_VARIABLE) or str(kernels.supported()[0])


def native_status() -> NativeStatus:
    """Whether the native engine can be used here."""
    try:
        kernels = load_kernels()
    except EngineUnavailableError as error:
        return NativeStatus(available=False, reason=str(error))
    return NativeStatus(available=True, isa=chosen_isa(kernels))


__all__ = ["ISA_VARIABLE", "NativeStatus", "chosen_isa", "load_kernels", "native_status"]
