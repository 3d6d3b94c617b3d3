"""The kernels' plan of liquid time-constant cells: who synapses onto whom, in the orders in which it is walked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from liquid_core.spec import LTCSpec
from liquid_core.types import Indices
from liquid_core.wiring import BuiltWiring

_MAPPINGS = ("none", "linear", "affine")
#: Added to every conductance, as `LTCCell` has it.
_EPSILON = 1e-8


def ltc_plan(cell: LTCSpec, wiring: BuiltWiring, places: dict[str, Indices], width: int) -> dict[str, Any]:
    """Plan of a liquid time-constant cell: its synapses as a list, and in rounds.

    Parameters
    ----------
    places
        Where each parameter is stored, -1 where the wiring has none; by name, of the parameter's shape.
    width
        Lanes of a vector.
    """
    recurrent = _synapses(wiring.adjacency != 0, places, "")
    sensory = _synapses(wiring.sensory_adjacency != 0, places, "sensory_")
    neurons = _neurons_in_vectors(recurrent, sensory, width)
    position = np.zeros(wiring.units, dtype=np.int32)
    position[neurons[neurons >= 0]] = np.flatnonzero(neurons >= 0)
    inputs = np.arange(-(-wiring.input_size // width) * width, dtype=np.int32)
    inputs[wiring.input_size :] = -1
    first = {name: int(value.reshape(-1)[0]) for name, value in places.items() if value.ndim == 1}
    ltc = {
        "neurons": wiring.units,
        "unfolds": cell.ode_unfolds,
        "epsilon": _EPSILON,
        "implicit": cell.constraints == "implicit",
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
    if cell.constraints != "implicit":
        for start, count in (
            (recurrent["w"], recurrent["count"]),
            (sensory["w"], sensory["count"]),
            (ltc["gleak"], wiring.units),
            (ltc["cm"], wiring.units),
        ):
            positive.append((start, start, count))
    return {"ltc": ltc, "positive": sorted(positive)}


def _synapses(mask: NDArray[np.bool_], places: dict[str, Indices], prefix: str) -> dict[str, Any]:
    """The synapse list of a mask ``(sources, neurons)``, in the order of their destinations."""
    destination, source = np.nonzero(mask.T)
    start = np.searchsorted(destination, np.arange(mask.shape[1] + 1)).astype(np.int32)
    stored = {name: places[f"{prefix}{name}"].T[mask.T] for name in ("sigma", "mu", "w", "erev")}
    for name, entries in stored.items():
        assert np.array_equal(entries, entries[:1].sum() + np.arange(len(entries))), (
            f"{name} is not stored by destination"
        )
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
        "first_round": first_round,
        "synapse": synapse,
        "source": np.array([source_position[int(source_of[e])] if e >= 0 else zero for e in synapse], dtype=np.int32),
        "num_source_vectors": len(sources) // width,
        "first_source_round": first_source_round,
        "place": place,
        "places": len(synapse),
    }


def _in_rounds(lists: list[list[int]], width: int, empty: int) -> tuple[Indices, Indices]:
    """Lists side by side, `width` at a time: their r-th entries together; and where each vector's rounds begin."""
    rounds: list[list[int]] = []
    first_round = [0]
    for vector in range(0, len(lists), width):
        side_by_side = lists[vector : vector + width]
        rounds += [
            [entries[turn] if turn < len(entries) else empty for entries in side_by_side]
            for turn in range(max(map(len, side_by_side)))
        ]
        first_round.append(len(rounds))
    return np.array(rounds, dtype=np.int32).reshape(-1), np.array(first_round, dtype=np.int32)


__all__ = ["ltc_plan"]
