"""The random numbers that torch's generator would give, without torch: both engines make the same weights of a seed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Draws:
    """What ``torch.Generator().manual_seed(seed)`` draws in float32, bit for bit: the same Mersenne twister.

    Parameters
    ----------
    seed
        As of torch's generator, which looks at its lowest 32 bits.
    """

    def __init__(self, seed: int) -> None:
        self._twister = np.random.RandomState(seed & 0xFFFFFFFF)

    def rand(self, low: float, high: float, *shape: int) -> Floats:
        """``torch.rand(*shape) * (high - low) + low``."""
        return self._units(*shape) * np.float32(high - low) + np.float32(low)

    def uniform(self, bound: float, *shape: int) -> Floats:
        """``torch.empty(*shape).uniform_(-bound, bound)``."""
        low, high = np.float32(-bound), np.float32(bound)
        # torch multiplies and adds with one rounding; so does float64, where the product of two float32 is exact.
        wide = self._units(*shape).astype(np.float64) * np.float64(high - low) + np.float64(low)
        return wide.astype(np.float32)

    def xavier(self, *shape: int) -> Floats:
        """``nn.init.xavier_uniform_`` of a matrix ``(outputs, inputs)``."""
        return self.uniform(math.sqrt(3.0) * math.sqrt(2.0 / float(sum(shape))), *shape)

    def skip(self, *shape: int) -> None:
        """As many numbers as such a tensor takes."""
        self._units(*shape)

    def _units(self, *shape: int) -> Floats:
        words = self._twister.randint(0, 2**32, size=shape, dtype=np.uint32)
        return (words & 0xFFFFFF).astype(np.float32) * np.float32(2.0**-24)


__all__ = ["Draws", "Floats"]
