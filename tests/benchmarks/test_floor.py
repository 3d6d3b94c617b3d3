"""The floor counts what a step must compute."""

from __future__ import annotations

import pytest

from benchmarks.floor import Ceiling, Work, measured_ceiling, work_per_step
from benchmarks.models import MODELS, NUM_INPUTS, WINDOW
from liquid_core import AutoNCP, build_cell


def test_a_dense_cell_is_counted_by_hand() -> None:
    """M1, written out: 41 inputs to 64 units, 64 to 4 heads of 32, and what stands around them."""
    forward = 41 * 64 + 64 * 128 + 3 * 32
    params = 41 * 64 + 64 + 64 * 128 + 128
    work = work_per_step(MODELS["M1"])

    assert work.operations == forward * (1 + 3 * WINDOW) + 5 * (32 + 9 + 1) + 11 * params
    assert work.sigmoids == (64 + 3 * 32) * (1 + WINDOW)


def test_a_sparse_cell_counts_the_synapses_that_exist() -> None:
    """M3: six sigmoids a synapse between neurons and one a sensory synapse, each step, and the softplus once."""
    model = MODELS["M3"]
    wiring = AutoNCP(32, 1).build(NUM_INPUTS)
    neurons, sensory = wiring.synapse_count, wiring.sensory_synapse_count

    assert work_per_step(model).sigmoids == (6 * neurons + sensory) * (1 + WINDOW) + neurons + sensory + 2 * 32


def test_a_wired_cell_counts_no_masked_weight() -> None:
    """M2 computes with its effective weights, biases aside."""
    model = MODELS["M2"]
    cell = build_cell(model.spec(), NUM_INPUTS)
    biases = 4 * model.units
    forward = cell.effective_parameter_count - biases + 3 * model.units
    expected = forward * (1 + 3 * WINDOW) + 5 * (1 + 9 + 1) + 11 * cell.effective_parameter_count

    assert work_per_step(model).operations == expected


def test_time_is_work_at_the_cores_speed() -> None:
    """A fused multiply-add counts as two floating-point operations."""
    assert Ceiling(fma_gflops=2.0, sigmoid_ns=3.0).microseconds(Work(1000, 100)) == pytest.approx(1.0 + 0.3)


def test_without_kernels_there_is_no_ceiling() -> None:
    """Where nothing was built, no instruction set is in use, and the column stays empty."""
    assert measured_ceiling("") is None
