"""What every cell does with shapes, time and loaded states."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from liquid_core import AutoNCP, CfCCell, LTCCell, ShapeError, WiredCfCCell
from liquid_core.cells.base import scoped


@pytest.mark.parametrize("shape", [(4,), (2, 4), (2, 3, 3)])
def test_inputs_of_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    """The message has the wanted shape and the one that came."""
    with pytest.raises(ShapeError, match=r"`inputs` must be \(batch, 3\): got \("):
        CfCCell(3, 5)(torch.zeros(shape))


def test_a_hidden_state_of_wrong_shape_is_refused() -> None:
    """`hx` needs a row for each input."""
    with pytest.raises(ShapeError, match=r"`hx` must be \(2, 5\): got \(3, 5\)"):
        CfCCell(3, 5)(torch.zeros(2, 3), torch.zeros(3, 5))


@pytest.mark.parametrize("elapsed", [torch.ones(3), torch.ones(2, 2), torch.ones(1, 2)])
def test_an_elapsed_time_of_wrong_shape_is_refused(elapsed: Tensor) -> None:
    """Elapsed times are one number or one for each stream; a row of them is not a column."""
    with pytest.raises(ShapeError, match=r"`elapsed_time` must be a number, \(2,\) or \(2, 1\)"):
        CfCCell(3, 5)(torch.zeros(2, 3), elapsed_time=elapsed)


def test_scoped_takes_one_part() -> None:
    """Only the names below the prefix stay, without it."""
    x = torch.zeros(())

    assert list(scoped({"a.w": x, "ab.w": x, "a.b.c": x}, "a")) == ["w", "b.c"]


@pytest.mark.parametrize("kind", ["ltc", "wired"])
def test_weights_of_another_wiring_are_refused(kind: str) -> None:
    """A state dict whose masks are not the cell's own says so, rather than load and mean nothing."""
    make = {"ltc": lambda w: LTCCell(w, 3), "wired": lambda w: WiredCfCCell(3, w)}[kind]

    with pytest.raises(RuntimeError, match="mask` belongs to another wiring"):
        make(AutoNCP(12, 2)).load_state_dict(make(AutoNCP(12, 2, seed=5)).state_dict())


def test_effective_parameters_leave_out_the_masked() -> None:
    """A dense cell has as many as it stores, a sparse one fewer."""
    dense, sparse = CfCCell(3, 5), LTCCell(AutoNCP(32, 2), 3)

    assert dense.effective_parameter_count == sum(p.numel() for p in dense.parameters())
    assert sparse.effective_parameter_count < sum(p.numel() for p in sparse.parameters()) / 3
