"""The native engine: the whole step of the learner in C++ kernels, one build an instruction set, chosen at run time.

It gives the reference engine's numbers in microseconds, and a stream the same bits alone or in any company.
"""

from __future__ import annotations

from liquid_core.engine.native.engine import NativeEngine
from liquid_core.engine.native.status import NativeStatus, native_status

__all__ = ["NativeEngine", "NativeStatus", "native_status"]
