"""What is measured: an engine with its streams, which steps all of them over one sample each, again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Contender(Protocol):
    """An engine of some kind and its streams, their windows full, ready to learn from every sample."""

    #: Samples that one batch holds: predictions and updates made by one `step`.
    samples_per_batch: int
    #: Memory that the stream's weights, optimiser, hidden states and window take.
    bytes_per_stream: int
    #: Weights that a stream learns: ours without those that the wiring removes, the peers' as they store them.
    num_params: int

    def batches(self, count: int) -> Sequence[Any]:
        """The next `count` batches, made ready; not part of what is timed."""

    def step(self, batch: Any) -> None:
        """Predict and learn from every sample of a batch."""


class MissingPeerError(Exception):
    """A contender that cannot run here; the message says why and what to do."""


__all__ = ["Contender", "MissingPeerError"]
