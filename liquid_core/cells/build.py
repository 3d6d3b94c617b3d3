"""The cell that a model spec names."""

from __future__ import annotations

import torch

from liquid_core.cells.base import Cell
from liquid_core.cells.cfc import CfCCell
from liquid_core.cells.ltc import LTCCell
from liquid_core.cells.mixed_memory import MixedMemory
from liquid_core.cells.wired_cfc import WiredCfCCell
from liquid_core.errors import SpecError
from liquid_core.spec import CfCSpec, LTCSpec, ModelSpec
from liquid_core.wiring import Wiring, from_spec


def build_cell(spec: ModelSpec, input_size: int) -> Cell:
    """A cell in float32 whose initial weights follow from the spec alone.

    They are drawn from `spec.seed` by a generator of their own: torch's global randomness is neither used nor moved, so
    that threads may build cells at the same time.

    Parameters
    ----------
    spec
        The model; its `cell_spec` and `wiring_spec` say what to build.
    input_size
        Width of what the cell sees of a sample.

    Raises
    ------
    SpecError
        The numbers of cell or wiring contradict each other; the message names the field.
    """
    generator = torch.Generator().manual_seed(spec.seed)
    cell = _build_plain(spec, input_size, generator).float()
    return MixedMemory(cell, generator=generator).float() if spec.cell_spec.mixed_memory else cell


def _build_plain(spec: ModelSpec, input_size: int, generator: torch.Generator) -> Cell:
    cell = spec.cell_spec
    if isinstance(cell, CfCSpec):
        return CfCCell(
            input_size,
            cell.units,
            cell.mode,
            cell.activation,
            cell.backbone_units,
            cell.backbone_layers,
            generator=generator,
        )
    if isinstance(cell, LTCSpec):
        return LTCCell(
            _wiring(spec),
            input_size,
            cell.input_mapping,
            cell.output_mapping,
            cell.ode_unfolds,
            implicit_param_constraints=cell.constraints == "implicit",
            generator=generator,
        )
    return WiredCfCCell(input_size, _wiring(spec), cell.mode, generator=generator)


def _wiring(spec: ModelSpec) -> Wiring:
    if spec.wiring_spec is None:
        raise SpecError(f"`wiring` is missing; cell `{spec.cell_spec.kind}` needs one.")
    return from_spec(spec.wiring_spec)


__all__ = ["build_cell"]
