"""Cells: one step in time of a liquid network, in torch, as a function of weights that are shared or a stream's own.

A good cell is faithful to its paper, functional, finite whatever it is fed, and never lets one stream touch another.
"""

from __future__ import annotations

from liquid_core.cells.base import Cell
from liquid_core.cells.build import build_cell
from liquid_core.cells.cfc import CfCCell
from liquid_core.cells.ltc import LTCCell
from liquid_core.cells.mixed_memory import MixedMemory
from liquid_core.cells.wired_cfc import WiredCfCCell

__all__ = ["Cell", "CfCCell", "LTCCell", "MixedMemory", "WiredCfCCell", "build_cell"]
