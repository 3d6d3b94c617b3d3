"""The native engine: rows of a slab stepped by C++ kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from liquid_core.engine.anatomy import num_inputs
from liquid_core.engine.native.blueprint import blueprint_of
from liquid_core.engine.native.plan import make_plan
from liquid_core.engine.native.status import chosen_isa, load_kernels
from liquid_core.engine.records import Observation, Sample
from liquid_core.engine.results import StepResults
from liquid_core.engine.rows import RowEngine
from liquid_core.engine.slab import Slab
from liquid_core.errors import EngineUnavailableError
from liquid_core.learner.sizes import Sizes
from liquid_core.spec import ModelSpec
from liquid_core.types import BoolArray, ByteArray, FloatArray

if TYPE_CHECKING:
    from liquid_core.learner.tbptt import Lesson

#: A spec whose kernels would need more working memory than this a thread runs on the torch engine.
MAX_WORKSPACE_BYTES = 512 * 1024 * 1024


class NativeEngine(RowEngine):
    """Steps streams of one spec; each record in time that is counted in microseconds.

    A stream's bits depend on its own records alone. Closed-form cells are run one stream after another, their neurons
    side by side in vectors. Liquid time-constant cells are run in groups, a stream a lane, and by a kernel for one
    stream where a group would be mostly empty; both apply the same operations in the same order.

    Parameters
    ----------
    spec
        The model.
    real
        Type of weights and hidden states: ``np.float32``, or ``np.float64`` to hold it against the reference.
    threads
        Threads that streams of one call are spread over.

    Raises
    ------
    EngineUnavailableError
        No kernels were built here, or none know the spec's cell.
    """

    name = "native"

    def __init__(self, spec: ModelSpec, real: type[np.floating[Any]] = np.float32, *, threads: int = 1) -> None:
        kernels = load_kernels()
        inputs = num_inputs(spec)
        blueprint = blueprint_of(spec, inputs)
        sizes = Sizes.of(
            spec,
            inputs,
            state_size=blueprint.state_size,
            output_size=blueprint.output_size,
            num_params=blueprint.num_params,
        )
        super().__init__(spec, real, sizes, blueprint.initial_weights)
        self.isa = chosen_isa(kernels)
        wide = real is np.float64
        plan = make_plan(spec, blueprint, sizes, self.layout, kernels.width(self.isa, wide))
        try:
            self._kernels = kernels.Engine(self.isa, wide, plan, Sample, threads, MAX_WORKSPACE_BYTES)
        except MemoryError:
            raise EngineUnavailableError(
                f"this spec's kernels would need more than {MAX_WORKSPACE_BYTES >> 20} MiB of working memory a thread; "
                "a shorter window, or fewer units or solver steps, need less."
            ) from None
        self._threads = threads
        self.numerics = f"native {self.isa} {np.dtype(real).name}; {kernels.compiler}"

    @property
    def group_size(self) -> int:
        """Streams that are run side by side, a lane each; 1 where the cell has no kernel for groups."""
        return int(self._kernels.group_size)

    @property
    def overhead_bytes(self) -> int:
        """Memory that the engine takes itself: above all what the kernels work in, once a thread."""
        return super().overhead_bytes + self._threads * int(self._kernels.workspace_bytes)

    def step(self, slab: Slab, slots: Sequence[int], records: Sequence[Observation]) -> StepResults:
        """Apply ``records[i]`` to the stream in ``slots[i]``, in order where a slot repeats.

        Records must have been admitted (`liquid_core.engine.admission`).
        """
        return StepResults(*self._kernels.step(slab.rows, slots, records))

    def peek(self, slab: Slab, slot: int, sample: Sample) -> StepResults:
        """What the answer would be if `sample` came next; nothing changes."""
        return StepResults(*self._kernels.look_ahead(slab.read(slot), [sample]))

    def lesson(
        self, row: ByteArray, anchor: int, targets: FloatArray, known: BoolArray, *, grouped: bool = False
    ) -> Lesson:
        """What targets that arrive at sample number `anchor` teach one stream: for holding kernels against autograd.

        Parameters
        ----------
        row
            The stream, `(row_bytes,)`.
        targets, known
            In the network's terms and whether they arrived, `(outputs,)`.
        grouped
            By the kernel for groups instead of that for one stream.
        """
        import torch

        from liquid_core.learner.tbptt import Lesson

        values: tuple[NDArray[Any], ...] = self._kernels.lesson(row.copy(), anchor, targets, known, grouped)
        loss, gradient, features, error = (torch.from_numpy(value)[None] for value in values)
        return Lesson(loss=loss, gradient=gradient, features=features, error=error)


__all__ = ["MAX_WORKSPACE_BYTES", "NativeEngine"]
