"""The time that one step of a model needs for its arithmetic alone, at the core's own measured speed.

What is counted, for one sample: one step of the cell to predict; `WINDOW` steps forward and back to learn, the way back
taking twice the multiplications of the way forward (a gradient by the weights and one by the state); the readout; clip
and Adam. Only weights that exist count, as if masks cost nothing.

An addition, product, fused multiply-add, division or square root is one *operation*; a full vector of them takes the
time of one fused multiply-add with an operand out of the second cache, which flatters divisions and is a little hard
on what stays in registers. A sigmoid, tanh or softplus is one *sigmoid*; the way back reuses what the way forward
computed. Other loads and stores count nothing, nor does the memory behind that cache, nor the scaler, intervals,
metrics and drift detector. So the floor is an estimate from below, not a proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from benchmarks.models import NUM_INPUTS, WINDOW, Model
from liquid_core import CfCCell, LTCCell, WiredCfCCell, build_cell

#: Clip: square and sum, scale (2). Moments: 2 and 3. Step: root, correction, division, weight (4).
OPERATIONS_PER_PARAM = 11
#: Readout, for each of its features: answer twice, gradient, power, update.
READOUT_OPERATIONS = 5


@dataclass(frozen=True, slots=True)
class Work:
    """Arithmetic, counted in single values."""

    operations: float
    sigmoids: float

    def __add__(self, other: Work) -> Work:
        return Work(self.operations + other.operations, self.sigmoids + other.sigmoids)

    def __mul__(self, times: float) -> Work:
        return Work(times * self.operations, times * self.sigmoids)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What one core can do at full vector width."""

    #: 10^9 floating-point operations a second in fused multiply-adds with weights out of the second cache, each counted
    #: as two.
    fma_gflops: float
    #: Nanoseconds for one sigmoid.
    sigmoid_ns: float

    def microseconds(self, work: Work) -> float:
        """Time for `work`."""
        return (2.0 * work.operations / self.fma_gflops + work.sigmoids * self.sigmoid_ns) / 1e3


def measured_ceiling(isa: str) -> Ceiling | None:
    """This core's, in the kernels for `isa`; `None` where that is empty, for there are none."""
    if not isa:
        return None
    found = import_module("liquid_core.engine.native._kernels").ceiling(isa)
    return Ceiling(fma_gflops=float(found["fma_gflops"]), sigmoid_ns=float(found["sigmoid_ns"]))


def work_per_step(model: Model) -> Work:
    """One sample's prediction and update."""
    cell = build_cell(model.spec(), NUM_INPUTS)
    assert isinstance(cell, CfCCell | WiredCfCCell | LTCCell)
    forward = _forward(cell)
    backward = Work(2.0 * forward.operations, 0.0)
    # Conductances and capacitances go through a softplus once an update.
    positive = cell.synapse_count + cell.sensory_synapse_count + 2 * cell.state_size if isinstance(cell, LTCCell) else 0
    readout = Work(READOUT_OPERATIONS * (cell.output_size + NUM_INPUTS + 1), 0.0)
    optimiser = Work(OPERATIONS_PER_PARAM * cell.effective_parameter_count, 0.0)
    return forward + (forward + backward) * WINDOW + Work(0.0, positive) + readout + optimiser


def _forward(cell: CfCCell | WiredCfCCell | LTCCell) -> Work:
    """One step of a cell, forward."""
    if isinstance(cell, LTCCell):
        return _ltc(cell)
    if isinstance(cell, WiredCfCCell):
        return sum((_cfc(layer) for layer in cell.layers), Work(0.0, 0.0))
    return _cfc(cell)


def _cfc(cell: CfCCell) -> Work:
    """A multiply-add a weight; for each neuron the gate's argument and the interpolation, two tanh and a sigmoid."""
    masks = cell.parameter_masks()
    weights = {name: value for name, value in cell.named_parameters() if name.endswith("weight")}
    kept = sum(int(masks[name].sum()) if name in masks else value.numel() for name, value in weights.items())
    backbone = sum(len(value) for name, value in weights.items() if name.startswith("backbone"))
    return Work(kept + 3 * cell.state_size, backbone + 3 * cell.state_size)


def _ltc(cell: LTCCell) -> Work:
    """For each synapse and unfold a sigmoid, its argument, and two sums; for each neuron five operations.

    Those are: capacity plus conductance, its product with the state, the current, the division, the new state. What
    inputs conduct is worked out once a step.
    """
    synapses = Work(3 * cell.synapse_count, cell.synapse_count)
    neurons = Work(5 * cell.state_size, 0.0)
    sensory = Work(3 * cell.sensory_synapse_count, cell.sensory_synapse_count)
    mapping = Work(cell.input_size + cell.output_size, 0.0)
    return (synapses + neurons) * cell.ode_unfolds + sensory + mapping


__all__ = ["Ceiling", "Work", "measured_ceiling", "work_per_step"]
