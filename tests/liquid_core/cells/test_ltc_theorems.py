"""The theorems of liquid time-constant networks (Hasani et al. 2021), for any weights, inputs and times."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from liquid_core import AutoNCP, FullyConnected, LTCCell, Random

INPUTS = 3
times = st.floats(1e-4, 1e4)
seeds = st.integers(0, 10_000)


@st.composite
def cells(draw: st.DrawFn, *, unfolds: st.SearchStrategy[int] = st.integers(1, 8)) -> LTCCell:  # noqa: B008
    """Any small LTC in float64, its weights far from where they started."""
    wiring = draw(
        st.sampled_from([AutoNCP(9, 2), AutoNCP(16, 3, 0.9), FullyConnected(5), Random(7, 2, 0.6), FullyConnected(1)])
    )
    generator = torch.Generator().manual_seed(draw(seeds))
    implicit = draw(st.booleans())
    cell = LTCCell(
        wiring, INPUTS, ode_unfolds=draw(unfolds), implicit_param_constraints=implicit, generator=generator
    ).double()
    spread = draw(st.floats(0.0, 5.0))
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter += spread * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    cell.apply_weight_constraints()
    return cell.requires_grad_(False)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=100)
@given(cells(), seeds, times, st.floats(0.0, 6.0))
def test_states_stay_within_their_reversal_potentials(cell: LTCCell, seed: int, time: float, log_scale: float) -> None:
    """Theorem 2: a neuron never leaves the interval of 0, its leak and reversal potentials, and where it started."""
    low, high = cell.state_bounds(cell.own_parameters())
    hx = noise(seed, 4, cell.state_size)
    low, high = torch.minimum(low, hx), torch.maximum(high, hx)
    slack = 1e-12 * (1 + torch.maximum(low.abs(), high.abs()))
    inputs = noise(seed + 1, 10, 4, INPUTS) * 10**log_scale

    for step in inputs:
        _, hx = cell(step, hx, time)
        assert (hx >= low - slack).all()
        assert (hx <= high + slack).all()


@settings(max_examples=100)
@given(cells(), seeds, st.floats(0.0, 6.0))
def test_time_constants_stay_within_their_bounds(cell: LTCCell, seed: int, log_scale: float) -> None:
    """Theorem 1: whatever comes in, a neuron's time constant lies between all its synapses open and none."""
    with torch.no_grad():  # a membrane that leaks and holds charge: else the time constant may be 0 / 0
        cell.gleak.clamp_(min=1e-3)
        cell.cm.clamp_(min=1e-3)
    parameters = cell.own_parameters()
    low, high = cell.time_constant_bounds(parameters)
    inputs, hx = noise(seed, 4, INPUTS) * 10**log_scale, noise(seed + 1, 4, cell.state_size) * 10**log_scale
    found = cell.time_constants(parameters, inputs, hx)

    assert (found >= low * (1 - 1e-12)).all()
    assert (found <= high * (1 + 1e-12)).all()


@settings(max_examples=60)
@given(cells(unfolds=st.sampled_from([2, 4, 6, 12])), seeds, times)
def test_a_step_is_exactly_two_of_half_its_time_and_unfolds(cell: LTCCell, seed: int, time: float) -> None:
    """Split identity: (Δt, U) and twice (Δt/2, U/2) with the same input are the same numbers, bit for bit."""
    inputs, start = noise(seed, 4, INPUTS), noise(seed + 1, 4, cell.state_size)
    _, whole = cell(inputs, start, time)
    cell.ode_unfolds //= 2
    _, half = cell(inputs, start, time / 2)
    _, halves = cell(inputs, half, time / 2)

    assert torch.equal(whole, halves)


@settings(max_examples=60)
@given(cells(), seeds, st.floats(0.0, 6.0))
def test_no_time_is_the_identity(cell: LTCCell, seed: int, log_scale: float) -> None:
    """Δt = 0 leaves every bit of the state, whatever the weights, inputs and state."""
    inputs, hx = noise(seed, 4, INPUTS) * 10**log_scale, noise(seed + 1, 4, cell.state_size) * 10**log_scale

    assert torch.equal(cell(inputs, hx, 0.0)[1], hx)


@given(seeds)
def test_little_time_is_nearly_the_identity(seed: int) -> None:
    """As Δt goes to 0 the state moves in proportion to it: there is no jump at 0."""
    cell = LTCCell(
        AutoNCP(9, 2), INPUTS, implicit_param_constraints=True, generator=torch.Generator().manual_seed(seed)
    ).double()
    inputs, hx = noise(seed, 4, INPUTS), noise(seed + 1, 4, 9)
    moved = [(cell(inputs, hx, time)[1] - hx).abs().max().item() for time in (1e-4, 1e-6, 1e-8)]

    np.testing.assert_allclose(np.divide(moved[:-1], moved[1:]), 100.0, rtol=0.01)


@settings(max_examples=40)
@given(cells(), seeds)
def test_endless_time_is_a_fixed_point_iteration(cell: LTCCell, seed: int) -> None:
    """As Δt grows the capacitance drops out: v <- current / conductance, once an unfold."""
    inputs, hx = noise(seed, 4, INPUTS), noise(seed + 1, 4, cell.state_size)
    with torch.no_grad():  # some leak, so that the fixed point is not 0 / 0
        cell.gleak.clamp_(min=0.1)
    found = cell(inputs, hx, 1e14)[1]
    single = LTCCell(cell.wiring, implicit_param_constraints=cell.implicit_param_constraints, ode_unfolds=1).double()
    single.load_state_dict(cell.state_dict())
    with torch.no_grad():
        single.cm.fill_(-1e3 if cell.implicit_param_constraints else 0.0)
    for _ in range(cell.ode_unfolds):
        _, hx = single(inputs, hx, 1.0)

    torch.testing.assert_close(found, hx, rtol=1e-9, atol=1e-9)


@settings(max_examples=40)
@given(st.integers(4, 14), st.floats(0.1, 1.0), st.integers(1, 5), seeds)
def test_signals_travel_along_synapses_only(units: int, sparsity: float, unfolds: int, seed: int) -> None:
    """An input moves a neuron if, and only if, a path of at most `ode_unfolds` synapses leads there."""
    generator = torch.Generator().manual_seed(seed)
    wiring = AutoNCP(units, 1, sparsity, seed)
    cell = LTCCell(wiring, INPUTS, ode_unfolds=unfolds, implicit_param_constraints=True, generator=generator).double()
    moved = torch.func.jacrev(lambda x: cell(x.unsqueeze(0))[1][0])(noise(seed, INPUTS)) != 0  # (units, inputs)
    reached = np.abs(cell.wiring.sensory_adjacency)
    for _ in range(unfolds - 1):
        reached = ((reached + reached @ np.abs(cell.wiring.adjacency)) > 0).astype(np.int64)

    assert ((reached > 0) == moved.numpy().T).all()
