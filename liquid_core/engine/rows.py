"""What every engine of rows is made of: the spec's network for its structure, the layout, and the row to start from."""

from __future__ import annotations

from typing import Any

import numpy as np

from liquid_core.engine.anatomy import layout_for, num_inputs
from liquid_core.engine.layout import StateLayout
from liquid_core.learner import rls
from liquid_core.learner.experts import AUTOREGRESSION_WIDTH
from liquid_core.learner.network import Network, torch_type
from liquid_core.spec import ModelSpec
from liquid_core.types import ByteArray


class RowEngine:
    """Base of the engines: they differ in how they step, not in what a stream is.

    Parameters
    ----------
    spec
        The model.
    real
        Type of weights and hidden states: ``np.float32``, or ``np.float64`` to hold engines against each other.
    """

    def __init__(self, spec: ModelSpec, real: type[np.floating[Any]] = np.float32) -> None:
        self.spec = spec
        self.network = Network(spec, num_inputs(spec), torch_type(real))
        self.layout: StateLayout = layout_for(spec, self.network, real)
        self._fresh_row = self.layout.initial_row()
        fresh = self.layout.views(self._fresh_row[None])
        fresh["network.weights"][0] = self.network.initial_weights.numpy()
        fresh["autoregression.covariance"][0] = rls.initial(AUTOREGRESSION_WIDTH)
        if self.network.exact_linear:
            fresh["linear.covariance"][0] = rls.initial(self.network.linear_features)
        if self.network.exact_readout:
            fresh["readout.covariance"][0] = rls.initial(self.network.readout_features)

    @property
    def num_params(self) -> int:
        """Effective parameters of one stream."""
        linear = self.network.readout_features + self.network.linear_features + AUTOREGRESSION_WIDTH
        return self.network.packing.size + self.spec.num_outputs * linear

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


__all__ = ["RowEngine"]
