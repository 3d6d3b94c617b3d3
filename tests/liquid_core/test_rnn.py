"""Cells over sequences: layouts, time spans, hidden states, projections and their errors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from liquid_core import (
    LTC,
    AutoNCP,
    CfC,
    CfCCell,
    FullyConnected,
    LiquidRNN,
    LTCCell,
    MixedMemory,
    ShapeError,
    SpecError,
)

RNNS: dict[str, Any] = {
    "ltc": lambda **kwargs: LTC(3, AutoNCP(10, 2), **kwargs),
    "cfc": lambda **kwargs: CfC(3, 6, **kwargs),
    "wired": lambda **kwargs: CfC(3, AutoNCP(10, 2), **kwargs),
    "mixed": lambda **kwargs: CfC(3, 6, mixed_memory=True, **kwargs),
    "own": lambda **kwargs: LiquidRNN(MixedMemory(CfCCell(3, 6)), **kwargs),
}
rnns = pytest.mark.parametrize("name", list(RNNS))


def build(name: str, **kwargs: Any) -> LiquidRNN:
    torch.manual_seed(0)
    rnn: LiquidRNN = RNNS[name](**kwargs)
    return rnn.double()


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def parts(result: Any) -> list[Tensor]:
    outputs, hx = result
    return [outputs, *(hx if isinstance(hx, tuple) else (hx,))]


def close(found: Any, expected: Any) -> None:
    for a, b in zip(parts(found), parts(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@rnns
def test_a_sequence_is_its_steps_one_by_one(name: str) -> None:
    """Scanning gives what stepping the cell by hand gives."""
    rnn = build(name)
    inputs, spans = numbers(4, 5, 3), numbers(4, 5).abs()
    outputs, *states = parts(rnn(inputs, timespans=spans))
    hx = None
    for step in range(5):
        output, hx = rnn.rnn_cell(inputs[:, step], hx, spans[:, step])
        torch.testing.assert_close(outputs[:, step], output, rtol=1e-12, atol=1e-12)

    torch.testing.assert_close(torch.cat(states, dim=1), hx, rtol=1e-12, atol=1e-12)


@rnns
def test_a_sequence_can_be_cut_in_two(name: str) -> None:
    """The hidden state carries everything over: a second call goes on where the first ended."""
    rnn = build(name)
    inputs, spans = numbers(4, 6, 3), numbers(4, 6).abs()
    whole, *_ = parts(rnn(inputs, timespans=spans))
    first, hx = rnn(inputs[:, :2], timespans=spans[:, :2])
    second, _ = rnn(inputs[:, 2:], hx, spans[:, 2:])

    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-12, atol=1e-12)


@rnns
def test_layouts_differ_in_their_axes_only(name: str) -> None:
    """Time first is batch first transposed; inputs, time spans and outputs alike."""
    batch_first, time_first = build(name), build(name, batch_first=False)
    inputs, spans = numbers(4, 5, 3), numbers(4, 5).abs()
    outputs, hx = time_first(inputs.transpose(0, 1), timespans=spans.T)

    close((outputs.transpose(0, 1), hx), batch_first(inputs, timespans=spans))


@rnns
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("return_sequences", [True, False])
def test_one_sequence_needs_no_batch(name: str, batch_first: bool, return_sequences: bool) -> None:
    """Two axes are one sequence: no output, time span or hidden state has a batch axis then."""
    rnn = build(name, batch_first=batch_first, return_sequences=return_sequences)
    batched = build(name, return_sequences=return_sequences)
    inputs, spans = numbers(1, 5, 3), numbers(1, 5).abs()
    _, hx = batched(inputs)
    alone = tuple(part[0] for part in hx) if isinstance(hx, tuple) else hx[0]
    expected = [part[0] for part in parts(batched(inputs, hx, spans))]

    for shape in ((5,), (5, 1)):
        found = parts(rnn(inputs[0], alone, spans.reshape(shape)))
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@rnns
def test_time_spans_come_as_a_number_or_laid_out(name: str) -> None:
    """One number stands for all steps; a trailing axis of 1 changes nothing; none means 1."""
    rnn = build(name)
    inputs = numbers(4, 5, 3)

    close(rnn(inputs, timespans=0.5), rnn(inputs, timespans=torch.full((4, 5), 0.5)))
    close(rnn(inputs, timespans=torch.full((4, 5, 1), 0.5)), rnn(inputs, timespans=0.5))
    close(rnn(inputs), rnn(inputs, timespans=1.0))


@rnns
def test_the_last_output_alone(name: str) -> None:
    """Without `return_sequences` there is only the last output."""
    inputs = numbers(4, 5, 3)
    outputs, hx = build(name)(inputs)

    close(build(name, return_sequences=False)(inputs), (outputs[:, -1], hx))


def test_a_projection_maps_every_output() -> None:
    """With `proj_size` outputs go through `fc`; the hidden state does not."""
    plain, projected = build("cfc"), build("cfc", proj_size=2)
    inputs = numbers(4, 5, 3)
    outputs, hx = plain(inputs)

    assert (plain.output_size, projected.output_size) == (6, 2)
    close(projected(inputs), (projected.fc(outputs), hx))


@rnns
def test_inputs_of_wrong_shape_are_refused(name: str) -> None:
    """Inputs have two or three axes, the last as wide as the cell's input."""
    rnn = build(name)
    for shape in ((4, 5, 2), (3,), (1, 4, 5, 3)):
        with pytest.raises(ShapeError, match=r"`inputs` must be \(batch, time, 3\), or \(time, 3\)"):
            rnn(numbers(*shape))


@rnns
@pytest.mark.parametrize("shape", [(4, 0, 3), (0, 3)])
def test_an_empty_sequence_is_refused(name: str, shape: tuple[int, ...]) -> None:
    """There is no output of no steps."""
    with pytest.raises(ShapeError, match="`inputs` holds no time step"):
        build(name)(numbers(*shape))


@pytest.mark.parametrize("shape", [(5, 4), (4, 5, 2), (4,), (1, 5)])
def test_time_spans_of_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    """Time spans are laid out as the inputs are, or one number: nothing is broadcast."""
    with pytest.raises(ShapeError, match=r"`timespans` must be a number, \(4, 5\) or \(4, 5, 1\)"):
        build("ltc")(numbers(4, 5, 3), timespans=numbers(*shape))


def test_hidden_states_of_wrong_shape_are_refused() -> None:
    """`hx` has a row a sequence, none for a single one, and is a pair where the memory is mixed."""
    with pytest.raises(ShapeError, match=r"`hx` must be \(4, 6\): got \(6,\)"):
        build("cfc")(numbers(4, 5, 3), numbers(6))
    with pytest.raises(ShapeError, match=r"`hx` must be \(6,\): got \(1, 6\)"):
        build("cfc")(numbers(5, 3), numbers(1, 6))
    with pytest.raises(ShapeError, match=r"`hx` must be a pair \(h, c\) with `mixed_memory`"):
        build("mixed")(numbers(4, 5, 3), numbers(4, 12))
    with pytest.raises(ShapeError, match="`hx` must be one tensor without `mixed_memory`"):
        build("cfc")(numbers(4, 5, 3), (numbers(4, 6), numbers(4, 6)))


@pytest.mark.parametrize(
    "option", [{"backbone_units": 8}, {"backbone_layers": 2}, {"backbone_dropout": 0.0}, {"activation": "relu"}]
)
def test_a_wired_cfc_has_no_backbone(option: dict[str, Any]) -> None:
    """Asking for a backbone, or for its activation, along with a wiring is refused rather than ignored."""
    with pytest.raises(SpecError, match=f"`{next(iter(option))}` must be left out with a wiring"):
        CfC(3, AutoNCP(10, 2), **option)


def test_explicit_constraints_are_reached_through_the_network() -> None:
    """`LTC.apply_weight_constraints` clips the cell inside, with and without a mixed memory."""
    for mixed_memory in (True, False):
        rnn = LTC(3, 5, mixed_memory=mixed_memory, implicit_param_constraints=False)
        with torch.no_grad():
            for parameter in rnn.parameters():
                parameter.sub_(10.0)
        rnn.apply_weight_constraints()

        assert all((p == 0).all() for name, p in rnn.named_parameters() if name.endswith((".cm", ".w", ".gleak")))


@rnns
def test_state_dicts_read_back(name: str) -> None:
    """A state dict of ours carries a network over, also inside another module."""
    first, second = (nn.Sequential(RNNS[name]()) for _ in range(2))
    second.load_state_dict(first.state_dict())
    inputs = torch.randn(2, 4, 3)

    assert torch.equal(first(inputs)[0], second(inputs)[0])


@rnns
def test_gradients_reach_every_effective_parameter(name: str) -> None:
    """Training through a sequence moves every parameter that the wiring leaves."""
    rnn = build(name)
    inputs, spans = numbers(16, 8, 3), numbers(16, 8).abs()
    (rnn(inputs, timespans=spans)[0] * numbers(16, 8, rnn.output_size)).sum().backward()
    masks = rnn.rnn_cell.parameter_masks()

    for parameter_name, parameter in rnn.rnn_cell.named_parameters():
        assert parameter.grad is not None
        assert ((parameter.grad != 0) | ~masks.get(parameter_name, torch.tensor(True))).all(), parameter_name


def test_networks_export() -> None:
    """`torch.export` takes a whole network."""
    rnn = LTC(3, FullyConnected(4))
    inputs = torch.randn(2, 3, 3)
    exported = torch.export.export(rnn, (inputs,)).module()

    torch.testing.assert_close(exported(inputs)[0], rnn(inputs)[0])


def test_a_network_learns_irregular_time() -> None:
    """An LTC learns to tell how long ago its input changed, which only its time spans say."""
    torch.manual_seed(0)
    cell = LTCCell(FullyConnected(8, 1), 1, implicit_param_constraints=True)
    rnn = LiquidRNN(cell, return_sequences=False, proj_size=1)
    optimiser = torch.optim.Adam(rnn.parameters(), 0.02)
    inputs, spans = torch.tensor([1.0, 1.0, -1.0]).expand(64, 3).unsqueeze(2), torch.rand(64, 3)
    target, losses = spans[:, -1:].clone(), []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (rnn(inputs, timespans=spans)[0] - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

    assert losses[-1] < 0.1 * target.var().item()
