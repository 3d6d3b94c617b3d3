"""The wiring that a model spec names."""

from __future__ import annotations

from liquid_core.spec import AutoNCPSpec, FullyConnectedSpec, NCPSpec, RandomSpec, WiringSpec
from liquid_core.wiring.auto_ncp import AutoNCP
from liquid_core.wiring.base import Wiring
from liquid_core.wiring.fully_connected import FullyConnected
from liquid_core.wiring.ncp import NCP
from liquid_core.wiring.random import Random


def from_spec(spec: WiringSpec) -> Wiring:
    """The recipe that this part of a model spec describes.

    Raises
    ------
    WiringError
        A number is impossible; the message names it.
    """
    match spec:
        case FullyConnectedSpec():
            return FullyConnected(spec.units, spec.outputs, spec.seed, spec.self_connections)
        case RandomSpec():
            return Random(spec.units, spec.outputs, spec.sparsity, spec.seed)
        case NCPSpec():
            return NCP(
                inter_neurons=spec.inter_neurons,
                command_neurons=spec.command_neurons,
                motor_neurons=spec.motor_neurons,
                sensory_fanout=spec.sensory_fanout,
                inter_fanout=spec.inter_fanout,
                recurrent_command_synapses=spec.recurrent_command_synapses,
                motor_fanin=spec.motor_fanin,
                seed=spec.seed,
            )
        case AutoNCPSpec():
            return AutoNCP(spec.units, spec.outputs, spec.sparsity, spec.seed)


__all__ = ["from_spec"]
