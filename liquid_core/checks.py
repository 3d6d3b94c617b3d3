"""Contracts: what every cell and every wiring must hold, ours and yours.

`check_cell` and `check_wiring` run all of them; each contract is also a function of its own, whose docstring says what
bug it catches. A broken one raises `ContractError`.

>>> from liquid_core import AutoNCP, LTCCell
>>> check_wiring(AutoNCP(16, 4))
>>> check_cell(LTCCell(AutoNCP(16, 4), 3))
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from liquid_core.cells import Cell
from liquid_core.types import Parameters
from liquid_core.wiring import BuiltWiring, Wiring

#: Streams in the batches that the checks make.
_BATCH = 4


class ContractError(AssertionError):
    """A cell or wiring breaks a contract; the message says which and how."""


def check_cell(cell: Cell) -> None:
    """Run every contract of cells on a float64 copy; the cell itself is left as it is."""
    for check in CELL_CHECKS:
        check(copy.deepcopy(cell).double().eval())


def check_wiring(wiring: Wiring) -> None:
    """Run every contract of wirings."""
    for check in WIRING_CHECKS:
        check(wiring)


# --- cells -----------------------------------------------------------------------------------------------------------


def check_shapes(cell: Cell) -> None:
    """Outputs and states have the sizes that the cell declares, for one stream and for several."""
    for batch in (1, _BATCH):
        inputs, hx, elapsed = _sample(cell, batch)
        output, new = cell(inputs, hx, elapsed)
        _require(output.shape == (batch, cell.output_size), f"output is {tuple(output.shape)}")
        _require(new.shape == (batch, cell.state_size), f"`hx` is {tuple(new.shape)}")
        _require(cell(inputs)[1].shape == (batch, cell.state_size), "a step from no `hx` has another shape")


def check_types_are_kept(cell: Cell) -> None:
    """A cell in bfloat16, float32 or float64 answers in that type: nothing inside was made in a fixed one."""
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        typed = copy.deepcopy(cell).to(dtype)
        for tensor in (*typed(*_sample(typed, _BATCH)), *typed(_sample(typed, _BATCH)[0])):
            _require(tensor.dtype == dtype, f"a cell in {dtype} answers in {tensor.dtype}")
            _require(bool(tensor.isfinite().all()), f"a cell in {dtype} answers with numbers that are not finite")


def check_elapsed_time_forms(cell: Cell) -> None:
    """One number, ``(batch,)`` and ``(batch, 1)`` mean the same, and each stream goes by its own."""
    inputs, hx, elapsed = _sample(cell, _BATCH)
    _same(cell(inputs, hx, 0.5), cell(inputs, hx, torch.full((_BATCH, 1), 0.5)), "a number differs from a column of it")
    _same(cell(inputs, hx, elapsed[:, 0]), cell(inputs, hx, elapsed), "(batch,) differs from (batch, 1)")
    for i in range(_BATCH):
        alone = cell(inputs[i : i + 1], hx[i : i + 1], float(elapsed[i]))
        _same(alone, _row(cell(inputs, hx, elapsed), i), "a stream's elapsed time is not its own")


def check_batch_order(cell: Cell) -> None:
    """Streams in another order give the same answers in that order."""
    inputs, hx, elapsed = _sample(cell, _BATCH)
    order = torch.tensor([2, 0, 3, 1])
    expected = [part[order] for part in cell(inputs, hx, elapsed)]
    _same(cell(inputs[order], hx[order], elapsed[order]), expected, "answers depend on the order of the batch")


def check_streams_do_not_touch(cell: Cell) -> None:
    """A stream that turned to NaN leaves its neighbours alone, with shared weights and with their own."""
    inputs, hx, elapsed = _sample(cell, _BATCH)
    broken = inputs.clone()
    broken[1] = torch.nan
    for parameters in (cell.own_parameters(), _per_stream(cell)):
        whole = cell.step(parameters, inputs, hx, elapsed)
        beside = cell.step(parameters, broken, hx, elapsed)
        for i in (0, 2, 3):
            _same(_row(beside, i), _row(whole, i), "a neighbour's NaN reached a stream")


def check_per_stream_parameters(cell: Cell) -> None:
    """A weight set a stream gives what each stream gives alone with its own."""
    inputs, hx, elapsed = _sample(cell, _BATCH)
    parameters = _per_stream(cell)
    together = cell.step(parameters, inputs, hx, elapsed)
    for i in range(_BATCH):
        own = {name: value[i] for name, value in parameters.items()}
        alone = cell.step(own, inputs[i : i + 1], hx[i : i + 1], elapsed[i : i + 1])
        _same(_row(together, i), alone, "with its own weights a stream differs from itself alone")


def check_lanes(cell: Cell) -> None:
    """A stream with its own weights gives the same bits alone and at any place of any batch, gradients included.

    Recovery rests on it: a stream comes back among other neighbours than it had.
    """
    for dtype in (torch.float32, torch.float64):
        typed = copy.deepcopy(cell).to(dtype)
        found = [_bits_of_equal_streams(typed, batch) for batch in (1, 3, 8, 17)]
        for tensors in zip(*found, strict=True):
            together = torch.cat(tensors)
            _require(bool((together == together[:1]).all()), f"a stream's bits depend on its place in a batch, {dtype}")


def check_functional(cell: Cell) -> None:
    """`torch.func` works: `functional_call` uses the weights that it is given, and `vmap` runs an ensemble of them."""
    sample = _sample(cell, _BATCH)
    ensemble = _per_stream(cell)
    together = torch.func.vmap(lambda weights: torch.func.functional_call(cell, weights, sample))(ensemble)
    for i in range(_BATCH):
        expected = cell.step({name: value[i] for name, value in ensemble.items()}, *sample)
        _same([part[i] for part in together], expected, "a member of a vmapped ensemble differs from itself alone")


def check_gradients(cell: Cell) -> None:
    """Gradients by weights, inputs, state and time are finite, at no elapsed time and at huge inputs too."""
    for scale, elapsed_time in ((1.0, 0.7), (1.0, 0.0), (1e4, 3.0)):
        inputs, hx, _ = _sample(cell, _BATCH)
        elapsed = torch.full((_BATCH, 1), elapsed_time, dtype=inputs.dtype)
        leaves = [(inputs * scale).requires_grad_(), hx.requires_grad_(), elapsed.requires_grad_()]
        parameters = {name: value.detach().requires_grad_() for name, value in cell.own_parameters().items()}
        gradients = _gradients(cell.step(parameters, leaves[0], leaves[1], leaves[2]), [*parameters.values(), *leaves])
        for name, gradient in zip([*parameters, "inputs", "hx", "elapsed_time"], gradients, strict=True):
            finite = gradient is None or bool(gradient.isfinite().all())
            _require(finite, f"the gradient by `{name}` is not finite at elapsed time {elapsed_time}")


def check_masks(cell: Cell) -> None:
    """Weights that the wiring removes change nothing and get no gradient."""
    sample = _sample(cell, _BATCH)
    parameters = {name: value.detach().requires_grad_() for name, value in cell.own_parameters().items()}
    masks = cell.parameter_masks()
    _require(set(masks) <= set(parameters), f"masks of no parameter: {sorted(set(masks) - set(parameters))}")
    for name, mask in masks.items():
        _require(mask.dtype == torch.bool, f"the mask of `{name}` is {mask.dtype}, not boolean")
        _require(mask.shape == parameters[name].shape, f"the mask of `{name}` is {tuple(mask.shape)}")
    noisy = {
        name: value if name not in masks else torch.where(masks[name], value, torch.randn_like(value))
        for name, value in parameters.items()
    }
    expected = cell.step(parameters, *sample)
    _same(cell.step(noisy, *sample), expected, "a masked weight changes the answer")
    for name, gradient in zip(parameters, _gradients(expected, list(parameters.values())), strict=True):
        if gradient is not None and name in masks:
            _require(not gradient[~masks[name]].any(), f"masked entries of `{name}` get a gradient")


def check_masks_are_buffers(cell: Cell) -> None:
    """Every parameter is one to train: a mask among them would land in an optimiser."""
    for name, parameter in cell.named_parameters():
        _require(parameter.requires_grad, f"parameter `{name}` is not trainable; register it as a buffer")


def check_zero_time(cell: Cell) -> None:
    """No elapsed time is finite, and the identity where the cell promises it."""
    inputs, hx, _ = _sample(cell, _BATCH)
    output, new = cell(inputs, hx, 0.0)
    _require(bool(output.isfinite().all() and new.isfinite().all()), "a step over no time is not finite")
    if cell.rests_at_zero_time:
        _require(torch.equal(new, hx), "a step over no time moves the hidden state")


def check_step_is_pure(cell: Cell) -> None:
    """A step writes to nothing that it is given, and repeats itself exactly."""
    sample, parameters = _sample(cell, _BATCH), _per_stream(cell)
    before = [tensor.clone() for tensor in (*parameters.values(), *sample)]
    first, second = cell.step(parameters, *sample), cell.step(parameters, *sample)
    for tensor, copied in zip((*parameters.values(), *sample), before, strict=True):
        _require(torch.equal(tensor, copied), "a step writes to its arguments")
    _require(all(torch.equal(a, b) for a, b in zip(first, second, strict=True)), "a step does not repeat itself")


def check_constrain(cell: Cell) -> None:
    """`constrain` keeps names and shapes, moves nothing a second time, and leaves what it is given as it was."""
    parameters = _per_stream(cell)
    before = {name: value.clone() for name, value in parameters.items()}
    once = cell.constrain(parameters)
    twice = cell.constrain(once)
    _require(set(once) == set(parameters), "`constrain` changes the set of parameters")
    for name, value in once.items():
        _require(value.shape == before[name].shape, f"`constrain` changes the shape of `{name}`")
        _require(torch.equal(value, twice[name]), f"`constrain` moves `{name}` a second time")
        _require(torch.equal(parameters[name], before[name]), f"`constrain` writes to `{name}`")


def check_state_dict(cell: Cell) -> None:
    """A state dict carries the whole cell over to another one."""
    other = copy.deepcopy(cell)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    other.load_state_dict(cell.state_dict())
    sample = _sample(cell, _BATCH)
    _same(other(*sample), cell(*sample), "a loaded cell differs from the saved one")


CELL_CHECKS: tuple[Callable[[Cell], None], ...] = (
    check_step_is_pure,  # first: what writes to its arguments confuses all others
    check_shapes,
    check_types_are_kept,
    check_elapsed_time_forms,
    check_batch_order,
    check_streams_do_not_touch,
    check_per_stream_parameters,
    check_lanes,
    check_functional,
    check_gradients,
    check_masks,
    check_masks_are_buffers,
    check_zero_time,
    check_constrain,
    check_state_dict,
)


# --- wirings ---------------------------------------------------------------------------------------------------------


def check_building_repeats(wiring: Wiring) -> None:
    """Built twice, or for another number of inputs in between, a wiring draws the same graph."""
    first = wiring.build(3)
    wiring.build(5)
    second = wiring.build(3)
    _require(bool((first.adjacency == second.adjacency).all()), "building again draws other synapses")
    _require(bool((first.sensory_adjacency == second.sensory_adjacency).all()), "building again draws other inputs")


def check_graph_is_read_only(wiring: Wiring) -> None:
    """Two models may share a graph: neither can write to it."""
    built = wiring.build(3)
    writeable = built.adjacency.flags.writeable or built.sensory_adjacency.flags.writeable
    _require(not writeable, "the adjacency can be written to")


def check_graph_sizes(wiring: Wiring) -> None:
    """Matrices have the declared sizes and hold nothing but -1, 0 and 1; counts count them."""
    for inputs in (1, 4):
        built = wiring.build(inputs)
        _require(built.input_size == inputs, f"built for {inputs} inputs, it says {built.input_size}")
        _require(built.adjacency.shape == (wiring.units, wiring.units), f"adjacency is {built.adjacency.shape}")
        _require(1 <= wiring.output_size <= wiring.units, f"{wiring.output_size} outputs of {wiring.units} units")
        for matrix, count in (
            (built.adjacency, built.synapse_count),
            (built.sensory_adjacency, built.sensory_synapse_count),
        ):
            _require(bool(np.isin(matrix, (-1, 0, 1)).all()), "an adjacency holds other numbers than -1, 0 and 1")
            _require(count == np.count_nonzero(matrix), "a synapse count is wrong")


def check_layers(wiring: Wiring) -> None:
    """Every neuron stands in exactly one layer; motor neurons are the first ids, in one layer, which is the last."""
    built: BuiltWiring = wiring.build(3)
    ids = sorted(neuron for layer in built.layers for neuron in layer)
    _require(ids == list(range(built.units)), "the layers do not hold every neuron once")
    motor = tuple(range(built.output_size))
    _require(built.layers[-1][: built.output_size] == motor, "the last layer does not begin with the motor neurons")
    kinds = [neuron for neuron, kind in enumerate(built.neuron_types) if kind == "motor"]
    _require(kinds == list(motor), "other neurons than the first are of type motor")


def check_config(wiring: Wiring) -> None:
    """A wiring's config reads back to an equal wiring."""
    _require(Wiring.from_config(wiring.to_config()) == wiring, "`from_config` gives another wiring")


WIRING_CHECKS: tuple[Callable[[Wiring], None], ...] = (
    check_building_repeats,
    check_graph_is_read_only,
    check_graph_sizes,
    check_layers,
    check_config,
)


# --- how they look ---------------------------------------------------------------------------------------------------


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ContractError(message + ".")


def _same(found: Sequence[Tensor], expected: Sequence[Tensor], message: str) -> None:
    """Equal up to the rounding of float64."""
    for a, b in zip(found, expected, strict=True):
        if not torch.allclose(a, b, rtol=1e-11, atol=1e-12):
            raise ContractError(f"{message}: by up to {float((a - b).detach().abs().max()):.3g}.")


def _row(parts: tuple[Tensor, ...], index: int) -> list[Tensor]:
    return [part[index : index + 1] for part in parts]


def _sample(cell: Cell, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, state and elapsed time of some streams, of the cell's own type; the same each time."""
    dtype = next(cell.parameters()).dtype
    generator = torch.Generator().manual_seed(0)
    inputs, hx = (torch.randn(batch, size, generator=generator) for size in (cell.input_size, cell.state_size))
    elapsed = torch.rand(batch, 1, generator=generator) * 2 + 0.01
    return inputs.to(dtype), hx.to(dtype), elapsed.to(dtype)


def _per_stream(cell: Cell) -> dict[str, Tensor]:
    """A weight set a stream, each a little off the cell's own."""
    generator = torch.Generator().manual_seed(1)
    parameters: Parameters = cell.own_parameters()
    return {
        name: value.detach() + 0.1 * torch.randn(_BATCH, *value.shape, generator=generator).to(value.dtype)
        for name, value in parameters.items()
    }


def _bits_of_equal_streams(cell: Cell, batch: int) -> list[Tensor]:
    """Answers and gradients of one stream, repeated, each ``(batch, ...)``."""
    own = {name: value[1] for name, value in _per_stream(cell).items()}
    parameters = {name: value.repeat(batch, *[1] * value.dim()).requires_grad_() for name, value in own.items()}
    inputs, hx, elapsed = (tensor.repeat(batch, 1) for tensor in _sample(cell, 1))
    answers = cell.step(parameters, inputs, hx.requires_grad_(), elapsed)
    gradients = _gradients(answers, [hx, *parameters.values()])
    return [*answers, *(gradient for gradient in gradients if gradient is not None)]


def _gradients(parts: tuple[Tensor, Tensor], leaves: list[Tensor]) -> tuple[Tensor | None, ...]:
    output, hx = parts
    return torch.autograd.grad(output.sum() + (hx * hx).sum(), leaves, allow_unused=True)


__all__ = ["CELL_CHECKS", "WIRING_CHECKS", "ContractError", "check_cell", "check_wiring"]
