"""The engine: the learner for thousands of streams at once, each a row of bytes that records are folded into.

A good engine gives a stream the same bits whatever else it steps beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from liquid_core.engine.admission import Ledger, Verdict
from liquid_core.engine.engine import Engine, EngineKind, build_engine
from liquid_core.engine.layout import StateLayout
from liquid_core.engine.native import NativeEngine, NativeStatus, native_status
from liquid_core.engine.records import (
    Control,
    Freeze,
    Label,
    Observation,
    Record,
    Reset,
    Restore,
    Sample,
    SpecChange,
    Unfreeze,
)
from liquid_core.engine.results import StepResults, Update
from liquid_core.engine.slab import Slab
from liquid_core.lazy import lazily

if TYPE_CHECKING:
    from liquid_core.engine.torch_engine import TorchEngine

__getattr__, __dir__ = lazily(__name__, {"liquid_core.engine.torch_engine": ("TorchEngine",)})

__all__ = [
    "Control",
    "Engine",
    "EngineKind",
    "Freeze",
    "Label",
    "Ledger",
    "NativeEngine",
    "NativeStatus",
    "Observation",
    "Record",
    "Reset",
    "Restore",
    "Sample",
    "Slab",
    "SpecChange",
    "StateLayout",
    "StepResults",
    "TorchEngine",
    "Unfreeze",
    "Update",
    "Verdict",
    "build_engine",
    "native_status",
]
