"""A spec's cell without torch: its parameters, which of them there are, and in which order a row has them.

The cells themselves (`liquid_core.cells`) say the same in torch, which takes a second to import and a hundred megabytes
to have; who steps streams with kernels needs neither. Tests hold one against the other, weights bit for bit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_core.engine.native.draws import Draws, Floats
from liquid_core.errors import EngineUnavailableError, SpecError
from liquid_core.spec import CfCSpec, LTCSpec, ModelSpec, WiredCfCSpec
from liquid_core.types import BoolArray, Indices
from liquid_core.wiring import BuiltWiring, from_spec

Array = NDArray[Any]
Arrays = Mapping[str, Array]

_SYNAPSES = ("sigma", "mu", "w", "erev")


@dataclass(frozen=True, slots=True)
class ClosedFormLayer:
    """A closed-form cell, or one of a wired one's layers."""

    #: Of its parameters' names.
    prefix: str
    inputs: int
    units: int
    mode: str
    backbone_layers: int

    @property
    def heads(self) -> tuple[str, ...]:
        """Prefixes of its heads' names, in the order in which a row has them."""
        names = ("ff1",) if self.mode == "pure" else ("ff1", "ff2", "time_a", "time_b")
        return tuple(f"{self.prefix}{name}" for name in names)

    @property
    def backbone(self) -> tuple[str, ...]:
        """Prefixes of its backbone's names."""
        return tuple(f"{self.prefix}backbone.{2 * index}" for index in range(self.backbone_layers))


class Blueprint:
    """A cell's parameters.

    Parameters
    ----------
    cell
        The layers of a closed-form cell, in the order in which a signal passes them; or the graph of a liquid
        time-constant cell.
    state_size, output_size
        Widths of its hidden state and of its output.
    initial
        Initial values by name.
    masks
        Of parameters that the wiring thins out: the entries that it leaves.
    arrange
        Lays arrays of these shapes into one vector, masked entries included: the order in which a row has them.
    """

    def __init__(
        self,
        cell: Sequence[ClosedFormLayer] | BuiltWiring,
        *,
        state_size: int,
        output_size: int,
        initial: Mapping[str, Floats],
        masks: Mapping[str, BoolArray],
        arrange: Callable[[Arrays], Array],
    ) -> None:
        self.cell = cell
        self.state_size = state_size
        self.output_size = output_size
        kept = arrange({name: masks.get(name, np.ones(value.shape, np.bool_)) for name, value in initial.items()})
        #: Weights that every stream starts from, `(params,)`.
        self.initial_weights: Floats = arrange(initial)[kept]
        #: Where each parameter is stored, -1 where the wiring has none; by name, of the parameter's shape.
        self.places: dict[str, Indices] = _places(initial, arrange, kept)

    @property
    def num_params(self) -> int:
        """Effective parameters of one stream."""
        return len(self.initial_weights)


def blueprint_of(spec: ModelSpec, num_inputs: int) -> Blueprint:
    """The cell of a spec, which sees `num_inputs` values of a sample.

    Raises
    ------
    SpecError
        The numbers of cell or wiring contradict each other; the message names the field.
    EngineUnavailableError
        There are no kernels for it.
    """
    cell = spec.cell_spec
    if cell.mixed_memory:
        raise EngineUnavailableError("there are no native kernels for MixedMemory; it runs on the torch engine.")
    draws = Draws(spec.seed)
    if isinstance(cell, CfCSpec):
        layer = ClosedFormLayer("", num_inputs, cell.units, cell.mode, cell.backbone_layers)
        return _closed_form([layer], [_closed_form_weights(layer, cell.backbone_units, draws)], {}, cell.units)
    if spec.wiring_spec is None:
        raise SpecError(f"`wiring` is missing; cell `{cell.kind}` needs one.")
    wiring = from_spec(spec.wiring_spec).build(num_inputs)
    return _wired(cell, wiring, draws) if isinstance(cell, WiredCfCSpec) else _liquid(cell, wiring, draws)


# --- closed-form cells -----------------------------------------------------------------------------------------------


def _closed_form(
    layers: Sequence[ClosedFormLayer],
    initial: Sequence[Mapping[str, Floats]],
    masks: Mapping[str, BoolArray],
    output_size: int,
) -> Blueprint:
    return Blueprint(
        layers,
        state_size=sum(layer.units for layer in layers),
        output_size=output_size,
        initial={name: value for of_layer in initial for name, value in of_layer.items()},
        masks=masks,
        arrange=lambda arrays: np.concatenate([_arranged(layer, arrays) for layer in layers]),
    )


def _wired(cell: WiredCfCSpec, wiring: BuiltWiring, draws: Draws) -> Blueprint:
    """Layers of neurons, in which each hears all of its own layer, and of the one before whom the wiring says."""
    layers: list[ClosedFormLayer] = []
    initial: list[Mapping[str, Floats]] = []
    masks: dict[str, BoolArray] = {}
    incoming = wiring.sensory_adjacency
    for index, neurons in enumerate(wiring.layers):
        ids = list(neurons)
        mask = np.concatenate([incoming[:, ids].T != 0, np.ones((len(ids), len(ids)), np.bool_)], axis=1)
        incoming = wiring.adjacency[ids]
        layer = ClosedFormLayer(f"layer_{index}.", mask.shape[1] - len(ids), len(ids), cell.mode, 0)
        layers.append(layer)
        initial.append(_closed_form_weights(layer, 0, draws))
        masks |= dict.fromkeys((f"{head}.weight" for head in layer.heads[:2]), mask)
    return _closed_form(layers, initial, masks, wiring.output_size)


def _closed_form_weights(layer: ClosedFormLayer, backbone_units: int, draws: Draws) -> dict[str, Floats]:
    """Drawn in the order of `CfCCell`: maps as torch makes them, whose matrices are then drawn again."""
    widths = [layer.inputs + layer.units] + [backbone_units] * layer.backbone_layers
    shapes = {
        name: (after, before) for name, (before, after) in zip(layer.backbone, itertools.pairwise(widths), strict=True)
    }
    shapes |= dict.fromkeys(layer.heads, (layer.units, widths[-1]))
    weights: dict[str, Floats] = {}
    for name, shape in shapes.items():
        draws.skip(*shape)
        weights[f"{name}.bias"] = draws.uniform(1 / math.sqrt(shape[1]), shape[0])
    if layer.mode == "pure":
        draws.skip(2, layer.units)
        weights[f"{layer.prefix}w_tau"] = np.zeros((1, layer.units), np.float32)
        weights[f"{layer.prefix}A"] = np.ones((1, layer.units), np.float32)
    return weights | {f"{name}.weight": draws.xavier(*shape) for name, shape in shapes.items()}


def _arranged(layer: ClosedFormLayer, arrays: Arrays) -> Array:
    """Map after map, each as ``(inputs, outputs)`` with its biases behind it; the heads side by side."""
    pieces = [part for name in layer.backbone for part in (arrays[f"{name}.weight"].T, arrays[f"{name}.bias"])]
    pieces.append(np.concatenate([arrays[f"{name}.weight"].T for name in layer.heads], axis=1))
    pieces += [arrays[f"{name}.bias"] for name in layer.heads]
    if layer.mode == "pure":
        pieces += [arrays[f"{layer.prefix}w_tau"], arrays[f"{layer.prefix}A"]]
    return np.concatenate([piece.reshape(-1) for piece in pieces])


# --- liquid time-constant cells --------------------------------------------------------------------------------------


def _liquid(cell: LTCSpec, wiring: BuiltWiring, draws: Draws) -> Blueprint:
    """Neurons, drawn in the order of `LTCCell`; what all synapses have of a kind is stored by their destinations."""
    units, inputs, outputs = wiring.units, wiring.input_size, wiring.output_size
    initial = {
        "gleak": draws.rand(0.001, 1.0, units),
        "vleak": draws.rand(-0.2, 0.2, units),
        "cm": draws.rand(0.4, 0.6, units),
    }
    masks: dict[str, BoolArray] = {}
    for prefix, sources, polarity in (("", units, wiring.adjacency), ("sensory_", inputs, wiring.sensory_adjacency)):
        initial |= {
            f"{prefix}sigma": draws.rand(3.0, 8.0, sources, units),
            f"{prefix}mu": draws.rand(0.3, 0.8, sources, units),
            f"{prefix}w": draws.rand(0.001, 1.0, sources, units),
            f"{prefix}erev": polarity.astype(np.float32),
        }
        masks |= {f"{prefix}{name}": polarity != 0 for name in _SYNAPSES}
    for name, mapping, width in (("input", cell.input_mapping, inputs), ("output", cell.output_mapping, outputs)):
        if mapping != "none":
            initial[f"{name}_w"] = np.ones(width, np.float32)
        if mapping == "affine":
            initial[f"{name}_b"] = np.zeros(width, np.float32)

    def arrange(arrays: Arrays) -> Array:
        others = [value for name, value in arrays.items() if name not in masks]
        return np.concatenate([*(arrays[name].T.reshape(-1) for name in masks), *others])

    return Blueprint(wiring, state_size=units, output_size=outputs, initial=initial, masks=masks, arrange=arrange)


def _places(shaped: Arrays, arrange: Callable[[Arrays], Array], kept: BoolArray) -> dict[str, Indices]:
    ends = list(itertools.accumulate(value.size for value in shaped.values()))
    pieces = np.split(np.arange(ends[-1]), ends[:-1])
    numbers = {name: piece.reshape(shaped[name].shape) for name, piece in zip(shaped, pieces, strict=True)}
    place = np.full(ends[-1], -1, dtype=np.int32)
    stored = arrange(numbers)[kept]
    place[stored] = np.arange(len(stored), dtype=np.int32)
    return {name: place[number] for name, number in numbers.items()}


__all__ = ["Blueprint", "ClosedFormLayer", "blueprint_of"]
