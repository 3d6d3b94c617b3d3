"""What the kernels must know of a spec, worked out once: sizes, offsets, and the order in which things are walked.

Everything is plain numbers and integer arrays; `plan_storage.h` reads them, `plan.h` says what each is for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_core.cells import Cell, CfCCell, LTCCell, WiredCfCCell
from liquid_core.engine.anatomy import ANSWERS_KEPT, num_inputs
from liquid_core.engine.layout import StateLayout
from liquid_core.errors import EngineUnavailableError
from liquid_core.learner.network import Network
from liquid_core.learner.window import Window, stretches_for
from liquid_core.spec import CfCSpec, ModelSpec

Indices = NDArray[np.int32]

_TASKS = ("forecast", "regression", "classification")
_MODES = ("default", "no_gate", "pure")
_MAPPINGS = ("none", "linear", "affine")
_ACTIVATIONS = ("silu", "relu", "tanh", "gelu", "lecun_tanh")


def make_plan(spec: ModelSpec, network: Network, layout: StateLayout, width: int) -> dict[str, Any]:
    """The kernels' plan.

    Parameters
    ----------
    network, layout
        The spec's, as the reference engine has them.
    width
        Lanes of a vector of the kernels' type.

    Raises
    ------
    EngineUnavailableError
        No kernel knows the spec's cell.
    """
    learner = spec.learner
    return {
        "offsets": {field.name: field.offset for field in layout.fields},
        "row_bytes": layout.row_bytes,
        "task": _TASKS.index(spec.task),
        "features": spec.num_features,
        "targets": spec.num_targets,
        "outputs": spec.num_outputs,
        "inputs": num_inputs(spec),
        "horizons": spec.horizons or (1,),
        "target_columns": spec.target_columns or (0,),
        "window_length": Window.length_for(spec),
        "stretches": _stretches(spec),
        "answers_kept": ANSWERS_KEPT,
        "warmup": learner.warmup,
        "learning_rate": learner.learning_rate,
        "readout_rate": learner.readout_rate,
        "beta1": learner.beta1,
        "beta2": learner.beta2,
        "epsilon": learner.epsilon,
        "clip_norm": learner.clip_norm,
        "scaler_rate": learner.scaler_rate,
        "coverage": learner.coverage,
        "drift_min_samples": learner.drift.min_samples,
        "drift_delta": learner.drift.delta,
        "drift_threshold": learner.drift.threshold,
        "drift_alpha": learner.drift.alpha,
        "drift_up": learner.drift.mode != "down",
        "drift_down": learner.drift.mode != "up",
        "state_size": network.state_size,
        "output_size": network.cell.output_size,
        "num_params": network.packing.size,
        "readout_features": network.readout_features,
    } | _cell(spec, network, width)


def _stretches(spec: ModelSpec) -> list[dict[str, Any]]:
    horizons = spec.horizons or (0,)
    return [
        {
            "first": stretch.first,
            "length": len(stretch),
            "first_horizon": horizons.index(stretch.horizons[0]),
            "anchors": [-horizon - stretch.first for horizon in stretch.horizons],
        }
        for stretch in stretches_for(spec)
    ]


def _cell(spec: ModelSpec, network: Network, width: int) -> dict[str, Any]:
    cell = network.cell
    places = {name: value.numpy().astype(np.int32) for name, value in network.packing.places().items()}
    if isinstance(cell, CfCCell):
        return _cfc({"": cell}, cell, spec, places, network.packing.size, width)
    if isinstance(cell, WiredCfCCell):
        layers = {f"layer_{index}.": layer for index, layer in enumerate(cell.layers)}
        return _cfc(layers, cell, spec, places, network.packing.size, width)
    if isinstance(cell, LTCCell):
        return _ltc(cell, places, width)
    raise EngineUnavailableError(f"there are no native kernels for {type(cell).__name__}; it runs on the torch engine.")


# --- closed-form cells -----------------------------------------------------------------------------------------------


class _WorkingWeights:
    """The matrices that the kernels work with, and where each of their entries is stored; -1 where nothing is."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._pieces: list[Indices] = []
        self.size = 0

    def add(self, entries: Indices) -> int:
        """Append entries; return where they begin."""
        start = self.size
        self._pieces.append(entries.reshape(-1))
        self.size += entries.size
        return start

    def add_linear(self, weights: list[Indices], biases: list[Indices]) -> dict[str, int]:
        """Append maps side by side, each ``(outputs, inputs)`` with its biases ``(outputs,)``."""
        joined, bias = np.concatenate(weights).T, np.concatenate(biases)
        inputs, outputs = joined.shape
        stride = -(-outputs // self._width) * self._width
        padded = np.full((inputs, stride), -1, dtype=np.int32)
        padded[:, :outputs] = joined
        padded_bias = np.full(stride, -1, dtype=np.int32)
        padded_bias[:outputs] = bias
        return {
            "inputs": inputs,
            "outputs": outputs,
            "stride": stride,
            "weights": self.add(padded),
            "biases": self.add(padded_bias),
        }

    def stored(self) -> Indices:
        return np.concatenate(self._pieces)


def _cfc(
    layers: dict[str, CfCCell], cell: Cell, spec: ModelSpec, places: dict[str, Indices], num_params: int, width: int
) -> dict[str, Any]:
    """Plan of closed-form layers, each called by the prefix of its parameters' names."""
    working = _WorkingWeights(width)
    blocks = []
    for prefix, layer in layers.items():
        backbone = [
            working.add_linear([places[f"{name}.weight"]], [places[f"{name}.bias"]])
            for name in (f"{prefix}backbone.{2 * index}" for index in range(layer.backbone_layers))
        ]
        heads = [f"{prefix}{name}" for name in layer.heads]
        joined = working.add_linear(
            [places[f"{name}.weight"] for name in heads], [places[f"{name}.bias"] for name in heads]
        )
        pure = layer.mode == "pure"
        blocks.append(
            {
                "inputs": layer.input_size,
                "units": layer.hidden_size,
                "backbone": backbone,
                "heads": joined,
                "w_tau": working.add(places[f"{prefix}w_tau"]) if pure else 0,
                "A": working.add(places[f"{prefix}A"]) if pure else 0,
            }
        )
    stored = working.stored()
    runs, singles = _runs(stored, width)
    activation = spec.cell_spec.activation if isinstance(spec.cell_spec, CfCSpec) else "lecun_tanh"
    cfc = {
        "mode": _MODES.index(next(iter(layers.values())).mode),
        "activation": _ACTIVATIONS.index(activation),
        "blocks": blocks,
        "working_size": working.size,
        "in_place": bool(np.array_equal(stored, np.arange(num_params))),
        "runs": runs,
        "single_stored": stored[singles],
        "single_working": singles,
    }
    return {"cfc": cfc, "positive": []}


def _runs(stored: Indices, width: int) -> tuple[list[tuple[int, int, int]], Indices]:
    """How working entries come from stored ones: runs of a vector's length or more, and single entries.

    A run is its first place stored, its first place here, and its length; single entries are places here.
    """
    kept = np.flatnonzero(stored >= 0)
    places = stored[kept]
    breaks = np.flatnonzero((np.diff(kept) != 1) | (np.diff(places) != 1)) + 1
    starts, ends = np.concatenate([[0], breaks]), np.concatenate([breaks, [len(kept)]])
    long = ends - starts >= width
    runs = [(int(places[a]), int(kept[a]), int(b - a)) for a, b in zip(starts[long], ends[long], strict=True)]
    short = [kept[a:b] for a, b in zip(starts[~long], ends[~long], strict=True)]
    return runs, np.concatenate([np.empty(0, dtype=np.int64), *short]).astype(np.int32)


# --- liquid time-constant cells --------------------------------------------------------------------------------------


def _ltc(cell: LTCCell, places: dict[str, Indices], width: int) -> dict[str, Any]:
    recurrent = _synapses(cell.sparsity_mask.numpy() != 0, places, "")
    sensory = _synapses(cell.sensory_sparsity_mask.numpy() != 0, places, "sensory_")
    neurons = _neurons_in_vectors(recurrent, sensory, width)
    position = np.zeros(cell.state_size, dtype=np.int32)
    position[neurons[neurons >= 0]] = np.flatnonzero(neurons >= 0)
    inputs = np.arange(-(-cell.input_size // width) * width, dtype=np.int32)
    inputs[cell.input_size :] = -1
    first = {name: int(value.reshape(-1)[0]) for name, value in places.items() if value.ndim == 1}
    ltc = {
        "neurons": cell.state_size,
        "unfolds": cell.ode_unfolds,
        "epsilon": cell.epsilon,
        "implicit": cell.implicit_param_constraints,
        "input_mapping": _MAPPINGS.index(cell.input_mapping),
        "output_mapping": _MAPPINGS.index(cell.output_mapping),
        "recurrent": recurrent,
        "sensory": sensory,
        "recurrent_rounds": _rounds(recurrent, neurons, neurons, width),
        "sensory_rounds": _rounds(sensory, neurons, inputs, width),
        "position": position,
        "neuron": neurons,
        "padded_neurons": len(neurons),
        "padded_inputs": len(inputs),
    } | {name: first.get(name, 0) for name in ("gleak", "vleak", "cm", "input_w", "input_b", "output_w", "output_b")}
    positive = []
    if not cell.implicit_param_constraints:
        for start, count in (
            (recurrent["w"], recurrent["count"]),
            (sensory["w"], sensory["count"]),
            (ltc["gleak"], cell.state_size),
            (ltc["cm"], cell.state_size),
        ):
            positive.append((start, start, count))
    return {"ltc": ltc, "positive": sorted(positive)}


def _synapses(mask: NDArray[np.bool_], places: dict[str, Indices], prefix: str) -> dict[str, Any]:
    """The synapse list of a mask ``(sources, neurons)``, in the order of their destinations."""
    destination, source = np.nonzero(mask.T)
    start = np.searchsorted(destination, np.arange(mask.shape[1] + 1)).astype(np.int32)
    stored = {name: places[f"{prefix}{name}"].T[mask.T] for name in ("sigma", "mu", "w", "erev")}
    for name, entries in stored.items():
        assert np.array_equal(entries, entries[:1].sum() + np.arange(len(entries))), f"{name} is not stored by destination"
    return {
        "count": len(source),
        "start": start,
        "source": source.astype(np.int32),
    } | {name: int(entries[0]) if len(entries) else 0 for name, entries in stored.items()}


def _neurons_in_vectors(recurrent: dict[str, Any], sensory: dict[str, Any], width: int) -> Indices:
    """Neurons sorted by how many synapses they have, and -1 up to whole vectors: vectors then have few empty places."""
    degrees = np.diff(recurrent["start"]), np.diff(sensory["start"])
    order = np.lexsort((-degrees[1], -degrees[0])).astype(np.int32)
    padding = -len(order) % width
    return np.concatenate([order, np.full(padding, -1, dtype=np.int32)])


def _rounds(synapses: dict[str, Any], neurons: Indices, sources: Indices, width: int) -> dict[str, Any]:
    """The synapses in rounds: neurons side by side, and for the way back sources side by side.

    `neurons` and `sources` say which stands at each position; -1 where none does.
    """
    start, source_of = synapses["start"], synapses["source"]
    source_position = {int(source): position for position, source in enumerate(sources) if source >= 0}
    incoming = [list(range(start[j], start[j + 1])) if j >= 0 else [] for j in neurons]
    synapse, first_round = _in_rounds(incoming, width, empty=-1)
    place_of = {int(e): place for place, e in enumerate(synapse) if e >= 0}
    outgoing: list[list[int]] = [[] for _ in sources]
    for e in range(synapses["count"]):
        outgoing[source_position[int(source_of[e])]].append(place_of[e])
    place, first_source_round = _in_rounds(outgoing, width, empty=len(synapse))
    zero = len(sources)  # an entry behind the last source that always holds zero
    return {
        "num_vectors": len(neurons) // width,
        "first_round": first_round,
        "synapse": synapse,
        "source": np.array([source_position[int(source_of[e])] if e >= 0 else zero for e in synapse], dtype=np.int32),
        "num_source_vectors": len(sources) // width,
        "first_source_round": first_source_round,
        "place": place,
        "places": len(synapse),
    }


def _in_rounds(lists: list[list[int]], width: int, empty: int) -> tuple[Indices, Indices]:
    """Lists side by side, `width` at a time: the r-th entries of each together; and where each vector's rounds begin."""
    rounds: list[list[int]] = []
    first_round = [0]
    for vector in range(0, len(lists), width):
        side_by_side = lists[vector : vector + width]
        for turn in range(max(map(len, side_by_side))):
            rounds.append([entries[turn] if turn < len(entries) else empty for entries in side_by_side])
        first_round.append(len(rounds))
    return np.array(rounds, dtype=np.int32).reshape(-1), np.array(first_round, dtype=np.int32)


__all__ = ["make_plan"]
