"""The defects of `ncps` 1.0.1, each absent here.

Where it can be shown in a line, a test shows first that `ncps` has it.
"""

from __future__ import annotations

import copy
from typing import Any

import ncps.torch
import ncps.wirings
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from liquid_core import LTC, NCP, AutoNCP, CfC, CfCCell, FullyConnected, LTCCell, Random, ShapeError, WiredCfCCell
from liquid_core.errors import WiringError
from liquid_core.wiring import Wiring

RNNS: dict[str, Any] = {
    "ltc": lambda units=6, **kwargs: LTC(3, units, **kwargs),
    "cfc": lambda units=6, **kwargs: CfC(3, units, **kwargs),
    "wired": lambda units=6, **kwargs: CfC(3, AutoNCP(units, 2), **kwargs),
    "mixed": lambda units=6, **kwargs: LTC(3, units, mixed_memory=True, **kwargs),
}
rnns = pytest.mark.parametrize("make", RNNS.values(), ids=RNNS)


def parts(result: Any) -> list[Tensor]:
    outputs, hx = result
    return [outputs, *(hx if isinstance(hx, tuple) else (hx,))]


@rnns
@pytest.mark.parametrize("trailing", [(), (1,)], ids=["batch-time", "batch-time-1"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_batched_timespans_raise(make: Any, trailing: tuple[int, ...], batch_first: bool) -> None:
    """1: time spans of several sequences are taken, in both layouts, with and without a trailing axis."""
    rnn = make(batch_first=batch_first)
    inputs, spans = torch.randn(5, 4, 3), torch.rand(5, 4)
    outputs, _ = rnn(inputs, timespans=spans.reshape(5, 4, *trailing))

    assert outputs.shape[:2] == (5, 4)


@rnns
def test_batched_timespans_are_mixed_up_when_batch_equals_units(make: Any) -> None:
    """2: with as many sequences as units each sequence still goes by its own time spans."""
    rnn = make().double()
    inputs, spans = torch.randn(6, 4, 3).double(), torch.rand(6, 4).double()
    together = parts(rnn(inputs, timespans=spans))

    for i in range(6):
        for whole, alone in zip(together, parts(rnn(inputs[i], timespans=spans[i])), strict=True):
            torch.testing.assert_close(whole[i], alone, rtol=1e-12, atol=1e-12)


def test_ltc_is_nan_at_elapsed_time_zero() -> None:
    """3: over no time an LTC stays exactly where it is, and its gradients are finite."""
    theirs = ncps.torch.LTC(3, 6)
    assert theirs(torch.randn(1, 2, 3), timespans=torch.zeros(1, 2))[0].isnan().any()

    cell = LTCCell(AutoNCP(8, 2), 3, implicit_param_constraints=True)
    hx = torch.randn(5, 8, requires_grad=True)
    _, new = cell(torch.randn(5, 3), hx, 0.0)
    new.sum().backward()

    assert torch.equal(new, hx)
    assert all(p.grad is None or p.grad.isfinite().all() for p in (*cell.parameters(), hx))


def test_ltc_ignores_functional_call() -> None:
    """4: an LTC computes with the parameters that it is given, and a vmapped ensemble has different members."""
    rnns = [LTC(3, 6) for _ in range(3)]
    inputs = torch.randn(2, 4, 3)
    stacked, _ = torch.func.stack_module_state(rnns)  # type: ignore[arg-type]
    base = copy.deepcopy(rnns[0])
    together = torch.func.vmap(lambda p: torch.func.functional_call(base, p, (inputs,))[0])(stacked)
    zeroed = {name: torch.zeros(()).expand_as(value) for name, value in base.named_parameters()}

    assert not torch.equal(torch.func.functional_call(base, zeroed, (inputs,))[0], base(inputs)[0])
    for member, rnn in zip(together, rnns, strict=True):
        torch.testing.assert_close(member, rnn(inputs)[0])


def test_ncp_config_does_not_read_back() -> None:
    """5: an NCP's config reads back, and to an NCP."""
    wiring = NCP(5, 4, 3, 3, 2, 4, 2)

    assert Wiring.from_config(wiring.to_config()) == wiring


def test_building_twice_changes_synapses() -> None:
    """6: a wiring that two models share is the same for both."""
    wiring = AutoNCP(16, 4)
    first, second = LTC(4, wiring), LTC(4, wiring)

    assert first.synapse_count == second.synapse_count == 28
    assert torch.equal(first.rnn_cell.sparsity_mask, second.rnn_cell.sparsity_mask)


@pytest.mark.parametrize("proj_size", [None, 3])
def test_wired_cfc_output_is_wider_than_declared(proj_size: int | None) -> None:
    """7: a wired CfC on a wiring with fewer outputs than units gives the motor neurons, and can be projected."""
    torch.manual_seed(0)
    rnn = CfC(3, FullyConnected(8, 4), proj_size=proj_size)
    torch.manual_seed(0)
    theirs = ncps.torch.CfC(3, ncps.wirings.FullyConnected(8, 4))
    inputs = torch.randn(2, 5, 3)
    outputs, _ = rnn(inputs)

    assert outputs.shape[-1] == rnn.output_size == (proj_size or 4)
    if proj_size is None:
        torch.testing.assert_close(outputs, theirs(inputs)[0][..., :4])


@pytest.mark.parametrize("kind", ["LTC", "LTCCell", "WiredCfCCell"])
def test_sensory_synapse_count_counts_recurrent_synapses(kind: str) -> None:
    """8: the count of sensory synapses is theirs."""
    model = {
        "LTC": LTC(4, AutoNCP(16, 4)),
        "LTCCell": LTCCell(AutoNCP(16, 4), 4),
        "WiredCfCCell": WiredCfCCell(4, AutoNCP(16, 4)),
    }[kind]

    assert (model.synapse_count, model.sensory_synapse_count) == (28, 16)


@rnns
def test_bfloat16_crashes_or_turns_to_float32(make: Any) -> None:
    """9: a network in bfloat16 computes in bfloat16, close to its float32 self."""
    torch.manual_seed(0)
    rnn = make()
    inputs = torch.randn(2, 5, 3).bfloat16()
    expected, _ = rnn(inputs.float())
    result = rnn.bfloat16()(inputs)

    assert {part.dtype for part in parts(result)} == {torch.bfloat16}
    torch.testing.assert_close(result[0].float(), expected, atol=0.05, rtol=0.05)


def test_dropout_does_nothing_with_one_layer() -> None:
    """10: one backbone layer is enough for dropout, in training and only there."""
    cell = CfCCell(3, 6, backbone_layers=1, backbone_dropout=0.5)
    inputs = torch.randn(2, 3)

    assert not torch.equal(cell(inputs)[0], cell(inputs)[0])
    assert torch.equal(cell.eval()(inputs)[0], cell(inputs)[0])


def test_pure_mode_loses_its_ones_and_zeros() -> None:
    """11: the pure mode starts from A = 1 and w_tau = 0, and both learn from there."""
    cell = CfCCell(3, 6, "pure")
    output, _ = cell(torch.randn(4, 3))
    output.square().sum().backward()

    assert (cell.A == 1).all()
    assert (cell.w_tau == 0).all()
    assert cell.A.grad is not None
    assert cell.w_tau.grad is not None
    assert cell.A.grad.any()
    assert cell.w_tau.grad.any()


def test_wired_cfc_ignores_recurrence_and_polarity() -> None:
    """12: `respect_recurrence` gives a wired CfC the wiring's own recurrence, time gates and polarities."""
    built = AutoNCP(16, 4).build(3)
    cell = WiredCfCCell(3, built, respect_recurrence=True)
    command = list(built.layers[1])
    layer = cell.layers[1]
    within = layer.get_parameter("ff1.weight")[:, -len(command) :].detach().T.numpy()
    synapses = built.adjacency[np.ix_(command, command)]
    masks = cell.parameter_masks()

    assert (
        masks["layer_1.ff1.weight"][:, -len(command) :].T.numpy() == (synapses != 0) | np.eye(len(command), dtype=bool)
    ).all()
    assert torch.equal(masks["layer_1.time_a.weight"], masks["layer_1.ff1.weight"])
    assert (np.sign(within)[synapses != 0] == synapses[synapses != 0]).all()


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@rnns
@pytest.mark.parametrize("options", [{}, {"batch_first": False, "return_sequences": False}], ids=["default", "other"])
def test_jit_script_fails(make: Any, options: dict[str, Any]) -> None:
    """13: TorchScript compiles every network, and its answers are the same for any batch and length."""
    rnn: nn.Module = make(**options).eval()
    scripted = torch.jit.script(rnn)
    inputs, spans = torch.randn(4, 7, 3), torch.rand(4, 7)
    outputs, hx = scripted(inputs, None, spans)
    expected, *states = parts(rnn(inputs, timespans=spans))

    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(hx, torch.cat(states, dim=1))
    torch.testing.assert_close(scripted(inputs)[0], rnn(inputs)[0])


@rnns
def test_an_empty_sequence_raises_something(make: Any) -> None:
    """14: an empty sequence is refused in words."""
    with pytest.raises(ShapeError, match="`inputs` holds no time step"):
        make()(torch.randn(2, 0, 3))


@pytest.mark.parametrize("make", [RNNS["ltc"], RNNS["wired"]], ids=["ltc", "wired"])
def test_masks_are_parameters(make: Any) -> None:
    """14: masks are buffers, which no optimiser sees."""
    rnn = make()
    masks = {name for name in rnn.state_dict() if "sparsity_mask" in name}

    assert masks
    assert masks <= {name for name, _ in rnn.named_buffers()}
    assert all(parameter.requires_grad for parameter in rnn.parameters())


def test_sparsity_error_names_another_range_than_it_checks() -> None:
    """14: the range in the message is the range that is checked."""
    AutoNCP(16, 4, 0.1)
    AutoNCP(16, 4, 1.0)
    Random(16, 4, 0.0)

    with pytest.raises(WiringError, match=r"must lie in \[0.1, 1.0\]"):
        AutoNCP(16, 4, 0.09)
    with pytest.raises(WiringError, match=r"must lie in \[0, 1\)"):
        Random(16, 4, 1.0)


def test_parameter_count_is_inflated() -> None:
    """15: a cell says how many of its parameters can change anything, and which."""
    cell = LTCCell(AutoNCP(16, 2), 3, implicit_param_constraints=True)
    masks = cell.parameter_masks()
    gradients = torch.autograd.grad(_some_steps(cell), list(cell.parameters()))
    moved = sum(int((gradient != 0).sum()) for gradient in gradients)

    assert sum(parameter.numel() for parameter in cell.parameters()) == 1274
    assert cell.effective_parameter_count == 226
    assert moved == 226
    for (name, _), gradient in zip(cell.named_parameters(), gradients, strict=True):
        assert name not in masks or not gradient[~masks[name]].any()


def _some_steps(cell: LTCCell) -> Tensor:
    torch.manual_seed(0)
    hx, total = torch.zeros(8, 16), torch.zeros(())
    for _ in range(5):
        output, hx = cell(torch.randn(8, 3), hx)
        total = total + (output * torch.randn(8, 2)).sum()
    return total
