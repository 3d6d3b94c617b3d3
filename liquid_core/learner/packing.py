"""One vector a stream for all its parameters, holding only those that the wiring leaves.

Optimiser, guard and snapshots then work on one `(batch, params)` array and know nothing of layers; the cell gets its
tensors back with zeros where the wiring has no synapse.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from liquid_core.types import Parameters


class Packing:
    """How named tensors lie in one vector.

    Parameters
    ----------
    parameters
        The tensors of one stream, by name; their order is the vector's.
    masks
        For some of them, boolean tensors of the same shape: the entries that are kept.
    """

    def __init__(self, parameters: Parameters, masks: Mapping[str, Tensor]) -> None:
        self._shapes = {name: tuple(tensor.shape) for name, tensor in parameters.items()}
        self._sizes = [tensor.numel() for tensor in parameters.values()]
        kept = torch.cat(
            [
                masks[name].flatten().bool() if name in masks else torch.ones(tensor.numel(), dtype=torch.bool)
                for name, tensor in parameters.items()
            ]
        )
        #: Where each packed value lies among all values, masked ones included; `(params,)`.
        self._positions = kept.nonzero().flatten()
        #: For every value, its place in the vector, or one past its end where the wiring has none.
        self._sources = torch.full((kept.numel(),), len(self._positions))
        self._sources[self._positions] = torch.arange(len(self._positions))
        self._all_kept = bool(kept.all())

    @property
    def size(self) -> int:
        """Effective parameters: length of the vector."""
        return len(self._positions)

    @property
    def dense_size(self) -> int:
        """Parameters as the tensors count them, masked ones included."""
        return sum(self._sizes)

    def pack(self, parameters: Parameters) -> Tensor:
        """`(..., params)` from tensors of shape ``(..., *shape)``."""
        lead = next(iter(parameters.values())).shape[: -len(next(iter(self._shapes.values()))) or None]
        flat = torch.cat([parameters[name].reshape(*lead, -1) for name in self._shapes], dim=-1)
        return flat if self._all_kept else flat.index_select(-1, self._positions)

    def unpack(self, vector: Tensor) -> dict[str, Tensor]:
        """Tensors of shape ``(batch, *shape)`` from `(batch, params)`; differentiable."""
        if not self._all_kept:
            padded = torch.cat([vector, vector.new_zeros(vector.shape[0], 1)], dim=1)
            vector = padded.index_select(1, self._sources)
        pieces = torch.split(vector, self._sizes, dim=1)
        return {
            name: piece.reshape(vector.shape[0], *shape)
            for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)
        }

    def names(self) -> tuple[str, ...]:
        return tuple(self._shapes)


__all__ = ["Packing"]
