"""What every engine of rows is made of: the sizes of the spec's network, the layout, and the row to start from."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from liquid_core.engine.anatomy import layout_for, num_inputs
from liquid_core.engine.layout import RowArrays, StateLayout
from liquid_core.learner import rls
from liquid_core.learner.experts import AUTOREGRESSION_WIDTH
from liquid_core.learner.sizes import Sizes
from liquid_core.spec import ModelSpec
from liquid_core.types import ByteArray, FloatArray

if TYPE_CHECKING:
    from liquid_core.learner.network import Network


class RowEngine:
    """Base of the engines: they differ in how they step, not in what a stream is.

    Parameters
    ----------
    spec
        The model.
    real
        Type of weights and hidden states: ``np.float32``, or ``np.float64`` to hold engines against each other.
    sizes
        Of the spec's network.
    initial_weights
        Cell weights that every stream starts from, `(params,)`.
    """

    def __init__(
        self, spec: ModelSpec, real: type[np.floating[Any]], sizes: Sizes, initial_weights: FloatArray
    ) -> None:
        self.spec = spec
        self.real = real
        self.sizes = sizes
        self.layout: StateLayout = layout_for(spec, sizes, real)
        self._fresh_row = self.layout.initial_row()
        fresh = RowArrays(self.layout, self._fresh_row)
        fresh["network.weights"][...] = initial_weights
        fresh["autoregression.covariance"][...] = rls.initial(AUTOREGRESSION_WIDTH)
        if sizes.exact_linear:
            fresh["linear.covariance"][...] = rls.initial(sizes.linear_features)
        if sizes.exact_readout:
            fresh["readout.covariance"][...] = rls.initial(sizes.readout_features)

    @cached_property
    def network(self) -> Network:
        """The spec's network in torch: what the reference engine steps, and others are held against."""
        return network_of(self.spec, self.real)

    @property
    def num_params(self) -> int:
        """Effective parameters of one stream."""
        linear = self.sizes.readout_features + self.sizes.linear_features + AUTOREGRESSION_WIDTH
        return self.sizes.num_params + self.spec.num_outputs * linear

    @property
    def bytes_per_stream(self) -> int:
        """Memory that one stream takes."""
        return self.layout.row_bytes

    @property
    def overhead_bytes(self) -> int:
        """Memory that the engine takes itself, but for what its structure takes: some kilobytes."""
        return self.layout.row_bytes

    def initial_row(self) -> ByteArray:
        """The row of a stream that has seen nothing, `(row_bytes,)`; the spec's seed decides its weights."""
        return self._fresh_row.copy()


def network_of(spec: ModelSpec, real: type[np.floating[Any]]) -> Network:
    """A spec's network in torch."""
    from liquid_core.learner.network import Network, torch_type

    return Network(spec, num_inputs(spec), torch_type(real))


__all__ = ["RowEngine", "network_of"]
