"""The science of Liquidstream: wirings, liquid cells, and a learner that never stops; no I/O, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liquid_core.errors import (
    LiquidError,
    RecordError,
    ShapeError,
    SlabFullError,
    SpecError,
    StateFormatError,
    StateVersionError,
    WiringError,
)
from liquid_core.lazy import lazily
from liquid_core.spec import ModelSpec
from liquid_core.wiring import NCP, AutoNCP, BuiltWiring, FullyConnected, Random, Wiring

if TYPE_CHECKING:
    from liquid_core.cells import Cell, CfCCell, LTCCell, MixedMemory, WiredCfCCell, build_cell
    from liquid_core.rnn import LTC, CfC, LiquidRNN

__getattr__, __dir__ = lazily(
    __name__,
    {
        "liquid_core.cells": ("Cell", "CfCCell", "LTCCell", "MixedMemory", "WiredCfCCell", "build_cell"),
        "liquid_core.rnn": ("LTC", "CfC", "LiquidRNN"),
    },
)

__all__ = [
    "LTC",
    "NCP",
    "AutoNCP",
    "BuiltWiring",
    "Cell",
    "CfC",
    "CfCCell",
    "FullyConnected",
    "LTCCell",
    "LiquidError",
    "LiquidRNN",
    "MixedMemory",
    "ModelSpec",
    "Random",
    "RecordError",
    "ShapeError",
    "SlabFullError",
    "SpecError",
    "StateFormatError",
    "StateVersionError",
    "WiredCfCCell",
    "Wiring",
    "WiringError",
    "build_cell",
]
