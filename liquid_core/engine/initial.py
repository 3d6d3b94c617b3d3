"""The row that a stream starts from."""

from __future__ import annotations

from liquid_core.engine.layout import StateLayout
from liquid_core.learner.network import Network
from liquid_core.types import ByteArray


def fresh_row(layout: StateLayout, network: Network) -> ByteArray:
    """The row of a stream that has seen nothing, `(row_bytes,)`; the spec's seed has decided the network's weights."""
    row = layout.initial_row()
    layout.views(row[None])["network.weights"][0] = network.initial_weights.numpy()
    return row


__all__ = ["fresh_row"]
