"""Mixed memory around other cells."""

from __future__ import annotations

import torch

from liquid_core import AutoNCP, CfCCell, LTCCell, MixedMemory


def test_the_hidden_state_is_the_cells_and_the_memorys() -> None:
    """`hx` holds h, then c, each as wide as the cell's own state; the output is the cell's."""
    cell = MixedMemory(LTCCell(AutoNCP(10, 2), 3, implicit_param_constraints=True))
    output, hx = cell(torch.randn(4, 3))

    assert (cell.state_size, cell.output_size) == (20, 2)
    assert (output.shape, hx.shape) == ((4, 2), (4, 20))


def test_the_cell_starts_from_what_the_memory_lets_out() -> None:
    """The memory's h goes into the cell as its state; its c comes back beside the cell's new state."""
    mixed = MixedMemory(CfCCell(3, 5))
    inputs, h, c = torch.randn(4, 3), torch.randn(4, 5), torch.randn(4, 5)
    let_out, carried = mixed.lstm.step(dict(mixed.lstm.named_parameters()), inputs, h, c)
    output, hx = mixed(inputs, torch.cat([h, c], dim=1), 0.3)

    assert torch.equal(output, mixed.cell(inputs, let_out, 0.3)[0])
    assert torch.equal(hx[:, 5:], carried)


def test_constraints_and_masks_are_the_cells() -> None:
    """What the cell masks and clips stays masked and clipped inside."""
    mixed = MixedMemory(LTCCell(AutoNCP(10, 2), 3))
    parameters = {name: -value.abs() for name, value in mixed.own_parameters().items()}
    constrained = mixed.constrain(parameters)

    assert set(mixed.parameter_masks()) == {f"cell.{name}" for name in mixed.cell.parameter_masks()}
    assert set(constrained) == set(parameters)
    assert not constrained["cell.w"].any()
    assert constrained["lstm.input_map.weight"] is parameters["lstm.input_map.weight"]
