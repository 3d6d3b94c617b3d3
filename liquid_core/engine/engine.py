"""What an engine is, and which one serves a spec.

Two engines step streams: native kernels (`liquid_core.engine.native`), and the torch reference that they are held
against. The reference also takes over where no kernels were built and for cells that they do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np

from liquid_core.engine.layout import StateLayout
from liquid_core.engine.native import NativeEngine
from liquid_core.engine.records import Observation, Sample
from liquid_core.engine.results import StepResults
from liquid_core.engine.slab import Slab
from liquid_core.errors import EngineUnavailableError
from liquid_core.spec import ModelSpec
from liquid_core.types import ByteArray

EngineKind = Literal["auto", "native", "torch"]


class Engine(Protocol):
    """Steps streams of one spec, each a row of a slab.

    A stream's bits depend on its own records alone: not on what is stepped beside it, nor on the number of threads.
    """

    spec: ModelSpec
    layout: StateLayout

    @property
    def name(self) -> str:
        """``native`` or ``torch``."""

    @property
    def numerics(self) -> str:
        """What decides the last bits of its results; equal values, equal bits."""

    @property
    def num_params(self) -> int:
        """Effective parameters of one stream."""

    @property
    def bytes_per_stream(self) -> int:
        """Memory that one stream takes."""

    @property
    def overhead_bytes(self) -> int:
        """Memory that it takes itself, however many streams it steps."""

    def initial_row(self) -> ByteArray:
        """The row of a stream that has seen nothing, `(row_bytes,)`."""

    def step(self, slab: Slab, slots: Sequence[int], records: Sequence[Observation]) -> StepResults:
        """Apply ``records[i]``, which must have been admitted, to the stream in ``slots[i]``, in order."""

    def peek(self, slab: Slab, slot: int, sample: Sample) -> StepResults:
        """What the answer would be if `sample` came next; nothing changes."""


def build_engine(
    spec: ModelSpec, kind: EngineKind = "auto", *, threads: int = 1, real: type[np.floating[Any]] = np.float32
) -> Engine:
    """The engine that serves `spec`.

    Parameters
    ----------
    kind
        "auto": native where kernels were built and know the spec's cell, else torch. "native" or "torch": that one.
    threads
        Threads that streams of one call are spread over by the native engine.
    real
        Type of weights and hidden states.

    Raises
    ------
    EngineUnavailableError
        "native" was asked for, and no kernels were built here or they do not know the spec.
    """
    if kind != "torch":
        try:
            return NativeEngine(spec, real, threads=threads)
        except EngineUnavailableError:
            if kind == "native":
                raise

    from liquid_core.engine.torch_engine import TorchEngine  # torch takes seconds, and native engines do without

    return TorchEngine(spec, real)


__all__ = ["Engine", "EngineKind", "build_engine"]
