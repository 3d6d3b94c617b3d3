"""The kernels' plan of closed-form cells: their matrices, and which entry is stored where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from liquid_core.engine.native.blueprint import ClosedFormLayer
from liquid_core.types import Indices

_MODES = ("default", "no_gate", "pure")
_ACTIVATIONS = ("silu", "relu", "tanh", "gelu", "lecun_tanh")


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


def cfc_plan(
    layers: Sequence[ClosedFormLayer],
    activation: str | None,
    places: dict[str, Indices],
    num_params: int,
    width: int,
) -> dict[str, Any]:
    """Plan of closed-form layers.

    Parameters
    ----------
    layers
        In the order in which a signal passes them.
    activation
        Of the backbones; `None` where there are none.
    places
        Where each parameter is stored, -1 where the wiring has none; by name, of the parameter's shape.
    num_params
        Parameters that are stored.
    width
        Lanes of a vector.
    """
    working = _WorkingWeights(width)
    blocks = []
    for layer in layers:
        backbone = [working.add_linear([places[f"{name}.weight"]], [places[f"{name}.bias"]]) for name in layer.backbone]
        joined = working.add_linear(
            [places[f"{name}.weight"] for name in layer.heads], [places[f"{name}.bias"] for name in layer.heads]
        )
        pure = layer.mode == "pure"
        blocks.append(
            {
                "inputs": layer.inputs,
                "units": layer.units,
                "backbone": backbone,
                "heads": joined,
                "w_tau": working.add(places[f"{layer.prefix}w_tau"]) if pure else 0,
                "A": working.add(places[f"{layer.prefix}A"]) if pure else 0,
            }
        )
    stored = working.stored()
    runs, singles = _runs(stored, width)
    return {
        "mode": _MODES.index(layers[0].mode),
        "activation": _ACTIVATIONS.index(activation or "lecun_tanh"),
        "blocks": blocks,
        "working_size": working.size,
        "in_place": bool(np.array_equal(stored, np.arange(num_params))),
        "runs": runs,
        "single_stored": stored[singles],
        "single_working": singles,
    }


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


__all__ = ["cfc_plan"]
