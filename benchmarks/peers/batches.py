"""Samples for the peers: random numbers, as wide as what our cell sees."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.models import NUM_INPUTS


class PeerBatch(NamedTuple):
    """One sample for each of many streams."""

    #: `(streams, inputs)`.
    inputs: Tensor
    #: What the prediction before should have been, `(streams,)`.
    targets: Tensor


def random_batch(streams: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> PeerBatch:
    """A sample for each of `streams` streams."""
    inputs = torch.randn(streams, NUM_INPUTS, generator=generator, dtype=dtype)
    inputs[:, -NUM_INPUTS // 3 :] = 0.0  # nothing is missing
    return PeerBatch(inputs, torch.randn(streams, generator=generator, dtype=dtype))


__all__ = ["PeerBatch", "random_batch"]
