"""Every cell holds every contract; a cell that breaks one is found out."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from liquid_core import AutoNCP, Cell, CfCCell, FullyConnected, LTCCell, MixedMemory, Random, WiredCfCCell
from liquid_core.checks import CELL_CHECKS, ContractError, check_cell
from liquid_core.types import Parameters

torch.manual_seed(0)
CELLS: dict[str, Cell] = {
    "ltc-ncp": LTCCell(AutoNCP(10, 2), 3, implicit_param_constraints=True),
    "ltc-explicit": LTCCell(AutoNCP(10, 2), 3),
    "ltc-dense": LTCCell(FullyConnected(5, 2), 3, "none", "none", ode_unfolds=3, implicit_param_constraints=True),
    "ltc-random": LTCCell(Random(8, 3, 0.6), 3, "linear", "linear", implicit_param_constraints=True),
    "cfc-default": CfCCell(3, 5),
    "cfc-pure": CfCCell(3, 5, "pure", "silu", 8, 2),
    "cfc-no-gate": CfCCell(3, 5, "no_gate", backbone_layers=0),
    "wired-default": WiredCfCCell(3, AutoNCP(10, 2)),
    "wired-pure": WiredCfCCell(3, AutoNCP(10, 2), "pure"),
    "wired-recurrent": WiredCfCCell(3, AutoNCP(10, 2), respect_recurrence=True),
    "wired-random": WiredCfCCell(3, Random(8, 3, 0.6), "no_gate"),
    "mixed-ltc": MixedMemory(LTCCell(AutoNCP(10, 2), 3, implicit_param_constraints=True)),
    "mixed-cfc": MixedMemory(CfCCell(3, 5)),
}


@pytest.mark.parametrize("check", CELL_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", list(CELLS))
def test_contract(name: str, check: Callable[[Cell], None]) -> None:
    """The contract's own docstring says what it holds."""
    check(copy.deepcopy(CELLS[name]).double().eval())


def test_checking_a_cell_leaves_it_alone() -> None:
    """`check_cell` works on a copy: weights, type and mode of the cell stay."""
    cell = CfCCell(3, 5)
    before = copy.deepcopy(cell.state_dict())
    check_cell(cell)

    assert cell.training
    assert all(torch.equal(value, before[name]) for name, value in cell.state_dict().items())


class Leaky(Cell):
    """A sound cell of our own; those below each spoil one thing about it."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = self.state_size = self.output_size = 2
        self.weight = nn.Parameter(torch.ones(2))

    def advance(self, prepared: Parameters, inputs: Tensor, hx: Tensor, elapsed_time: Tensor) -> tuple[Tensor, Tensor]:
        new = hx + elapsed_time / (1 + elapsed_time) * (inputs * prepared["weight"] - hx)
        return new, new


def test_a_users_own_cell_passes() -> None:
    """A cell needs no more than `advance`, its sizes and its parameters."""
    check_cell(Leaky())


class WithOwnWeights(Leaky):
    def step(self, parameters: Parameters, inputs: Tensor, hx: Tensor, elapsed_time: Tensor) -> tuple[Tensor, Tensor]:
        return super().step(dict.fromkeys(parameters, self.weight), inputs, hx, elapsed_time)


class WithBatchMean(Leaky):
    def step(self, parameters: Parameters, inputs: Tensor, hx: Tensor, elapsed_time: Tensor) -> tuple[Tensor, Tensor]:
        return super().step(parameters, inputs - inputs.mean(0), hx, elapsed_time)


class WritingToItsState(Leaky):
    def step(self, parameters: Parameters, inputs: Tensor, hx: Tensor, elapsed_time: Tensor) -> tuple[Tensor, Tensor]:
        output, new = super().step(parameters, inputs, hx, elapsed_time)
        hx.data.zero_()
        return output, new


class DividingByTime(Leaky):
    def step(self, parameters: Parameters, inputs: Tensor, hx: Tensor, elapsed_time: Tensor) -> tuple[Tensor, Tensor]:
        output, new = super().step(parameters, inputs, hx, elapsed_time)
        return output * elapsed_time / elapsed_time, new


class WithFalseMask(Leaky):
    def parameter_masks(self) -> dict[str, Tensor]:
        return {"weight": torch.zeros_like(self.weight).bool()}


class PromisingRest(Leaky):
    rests_at_zero_time = True

    def step(self, parameters: Parameters, inputs: Tensor, hx: Tensor, elapsed_time: Tensor) -> tuple[Tensor, Tensor]:
        return super().step(parameters, inputs, hx, elapsed_time + 0.1)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (WithOwnWeights, "vmapped ensemble differs from itself alone: by up to"),
        (WithBatchMean, "a stream's elapsed time is not its own"),
        (WritingToItsState, "a step writes to its arguments"),
        (DividingByTime, "`weight` is not finite at elapsed time 0.0"),
        (WithFalseMask, "a masked weight changes the answer"),
        (PromisingRest, "moves the hidden state"),
    ],
)
def test_a_broken_cell_is_found_out(kind: type[Cell], message: str) -> None:
    """Each way of breaking a contract raises, saying how."""
    with pytest.raises(ContractError, match=message):
        check_cell(kind())
