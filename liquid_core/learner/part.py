"""What a part of the learner is: a few arrays a stream, and pure functions of them.

A part's state is a frozen dataclass whose fields are arrays with a leading ``batch`` axis, one entry a stream. It
declares what one stream owns in `arrays`; everything else (where the bytes lie, how they are saved) follows from that.

Only additions, multiplications, divisions, square roots and comparisons are used in these parts: they are exactly
rounded everywhere, so a stream's bits cannot depend on its neighbours in a batch or on the vector units at hand.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from liquid_core.types import FloatArray


class ArraySpec(NamedTuple):
    """One array that a stream owns: its type, its shape without the batch axis, and what it starts from."""

    dtype: DTypeLike
    shape: tuple[int, ...] = ()
    initial: float = 0.0


def pick(condition: NDArray[np.bool_], new: NDArray[Any], old: NDArray[Any]) -> NDArray[Any]:
    """`new` where the stream takes part, `old` where not; `condition` is `(batch,)` and broadcasts over the rest."""
    shaped = condition.reshape(condition.shape + (1,) * (new.ndim - condition.ndim))
    return np.where(shaped, new, old)


def safe_divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """The quotient, and zero where the denominator is zero."""
    positive = denominator > 0
    return np.where(positive, numerator / np.where(positive, denominator, 1.0), 0.0)


__all__ = ["ArraySpec", "pick", "safe_divide"]
