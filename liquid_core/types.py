"""Shape aliases: one vocabulary for the arrays of the whole library.

The alphabet, wherever a docstring states a shape:

=============  ====================================================================
``batch``      streams (or sequences) side by side
``time``       steps of a sequence or of a TBPTT window
``features``   values of one sample
``units``      neurons of a cell
``state``      width of a hidden state `hx` (units, plus the memory's where mixed)
``inputs``     what a cell sees of a sample: scaled features and missing flags
``outputs``    what the readout predicts: horizons times targets, or classes
``params``     a stream's effective parameters, packed into one vector
=============  ====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
ByteArray = NDArray[np.uint8]
#: Places in a vector or a row, as kernels count them.
Indices = NDArray[np.int32]

#: A cell's parameters by name, each of its own shape or with a leading ``batch`` axis (a weight set a stream).
Parameters: TypeAlias = "Mapping[str, Tensor]"

__all__ = ["BoolArray", "ByteArray", "FloatArray", "Indices", "IntArray", "Parameters"]
