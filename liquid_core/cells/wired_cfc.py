"""Wired CfC: closed-form cells in layers, connected as a wiring says."""

from __future__ import annotations

import torch
from torch import Tensor

from liquid_core.cells.base import Cell, scoped
from liquid_core.cells.cfc import CfCCell, Mode
from liquid_core.cells.ltc import built_for
from liquid_core.types import Parameters
from liquid_core.wiring import BuiltWiring, Wiring


class WiredCfCCell(Cell):
    """One step of closed-form cells, one a layer of the wiring, each fed by the layer before.

    The hidden state holds the layers in the order in which a signal passes them (inter, command, motor); the hidden
    state of an LTC holds neurons by id. The two are not interchangeable.

    Parameters
    ----------
    input_size
        Values in one input.
    wiring
        Who synapses onto whom; a recipe, or a graph that is already built.
    mode
        As of `CfCCell`.
    respect_recurrence
        False, as in `ncps`: within a layer every neuron hears every other, and the time gates ignore the wiring. True:
        within a layer only the wiring's synapses exist, besides each neuron's own past; the time gates follow the
        wiring too, and a weight starts with the sign of its synapse.
    generator
        Source of the initial weights; torch's global one by default.
    """

    def __init__(
        self,
        input_size: int,
        wiring: Wiring | BuiltWiring,
        mode: Mode = "default",
        *,
        respect_recurrence: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.wiring = built_for(wiring, input_size)
        self.input_size = self.sensory_size = self.wiring.input_size
        self.state_size = self.wiring.units
        self.output_size = self.motor_size = self.wiring.output_size
        self.layer_sizes = [len(layer) for layer in self.wiring.layers]
        self.num_layers = len(self.layer_sizes)
        for index, synapses in enumerate(_layer_synapses(self.wiring, respect_recurrence)):
            hidden, width = synapses.shape
            layer = CfCCell(
                width - hidden,
                hidden,
                mode,
                backbone_layers=0,
                sparsity_mask=synapses,
                masked_time_gates=respect_recurrence,
                generator=generator,
            )
            if respect_recurrence:
                _give_polarity(layer, synapses)
            self.add_module(f"layer_{index}", layer)

    @property
    def layers(self) -> list[CfCCell]:
        """The cells, in the order in which a signal passes them."""
        return [layer for layer in self.children() if isinstance(layer, CfCCell)]

    def prepare(self, parameters: Parameters) -> Parameters:
        """Each layer's own preparation."""
        prepared: dict[str, Tensor] = {}
        for index, layer in enumerate(self.layers):
            own = layer.prepare(scoped(parameters, f"layer_{index}"))
            prepared |= {f"layer_{index}.{name}": value for name, value in own.items()}
        return prepared

    def advance(self, prepared: Parameters, inputs: Tensor, hx: Tensor, elapsed_time: Tensor) -> tuple[Tensor, Tensor]:
        states: list[Tensor] = []
        signal = inputs
        for index, (layer, state) in enumerate(zip(self.layers, torch.split(hx, self.layer_sizes, dim=1), strict=True)):
            signal, _ = layer.advance(scoped(prepared, f"layer_{index}"), signal, state, elapsed_time)
            states.append(signal)
        # Where one layer holds all neurons, the motor neurons are its first ones.
        return signal[:, : self.output_size], torch.cat(states, dim=1)

    def parameter_masks(self) -> dict[str, Tensor]:
        return {
            f"layer_{index}.{name}": mask
            for index, layer in enumerate(self.layers)
            for name, mask in layer.parameter_masks().items()
        }

    def arrange(self, parameters: Parameters) -> Tensor:
        """One layer after the other."""
        return torch.cat(
            [layer.arrange(scoped(parameters, f"layer_{index}")) for index, layer in enumerate(self.layers)]
        )

    @property
    def synapse_count(self) -> int:
        """Synapses between neurons."""
        return self.wiring.synapse_count

    @property
    def sensory_synapse_count(self) -> int:
        """Synapses from inputs to neurons."""
        return self.wiring.sensory_synapse_count

    def extra_repr(self) -> str:
        return f"{self.wiring.wiring}, input_size={self.input_size}"


def _layer_synapses(wiring: BuiltWiring, respect_recurrence: bool) -> list[Tensor]:
    """For each layer, signed synapses ``(neurons, previous layer or inputs + neurons)``, destination first."""
    adjacency, incoming = torch.tensor(wiring.adjacency), torch.tensor(wiring.sensory_adjacency)
    synapses: list[Tensor] = []
    for neurons in wiring.layers:
        ids = list(neurons)
        within = adjacency[ids][:, ids].T
        if respect_recurrence:
            within = torch.where(within == 0, torch.eye(len(ids), dtype=within.dtype), within)
        else:
            within = torch.ones_like(within)
        synapses.append(torch.cat([incoming[:, ids].T, within], dim=1))
        incoming = adjacency[ids]
    return synapses


@torch.no_grad()
def _give_polarity(layer: CfCCell, synapses: Tensor) -> None:
    for name in ("ff1", "ff2"):
        if hasattr(layer, name):
            weight = layer.get_parameter(f"{name}.weight")
            weight.copy_(weight.abs() * torch.where(synapses < 0, -1.0, 1.0))


__all__ = ["WiredCfCCell"]
