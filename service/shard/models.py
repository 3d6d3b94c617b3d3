"""Models in memory: for every spec in use one engine, and one slab of the streams that are hot.

Together they take no more than the room has been given; who wants to bring a stream in when it is full must first make
some other one leave (`service.shard.eviction`).

Slabs and engines belong to a single worker thread. All access goes through `EngineRoom.run`, in order, so a stream's
row never changes under somebody's eyes, and the event loop stays free while tensors are busy.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import TypeVar

from liquid_core.engine.engine import Engine, EngineKind, build_engine
from liquid_core.engine.records import Record
from liquid_core.engine.slab import Slab
from liquid_core.errors import SlabFullError
from liquid_core.fold import fold
from liquid_core.spec import ModelSpec
from liquid_core.types import ByteArray
from service.problems import Problem

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Model:
    """A spec's engine and slab."""

    spec: ModelSpec
    engine: Engine
    slab: Slab
    #: Kind of the cell: the `model` label of metrics.
    name: str

    @property
    def num_bytes(self) -> int:
        """Memory of its engine and its streams."""
        return self.engine.overhead_bytes + self.slab.num_bytes

    @property
    def numerics(self) -> str:
        """What decides the last bits of its streams."""
        return self.engine.numerics


class RoomFull(Exception):  # noqa: N818 - no fault: make room and ask again
    """Another stream would take more memory than there may be.

    Parameters
    ----------
    needed
        Bytes that must be given up first.
    """

    def __init__(self, needed: int) -> None:
        super().__init__(f"{needed} bytes too many")
        self.needed = needed


class EngineRoom:
    """The worker thread and the models that it owns.

    Parameters
    ----------
    kind
        Which engine the models get.
    threads
        Threads that an engine may spread the streams of one micro-batch over; they change no bit.
    memory
        Bytes that the models may take; without it there is no limit.
    executor
        What runs the work, one piece at a time and in order; a thread of its own where nothing else is given.
    """

    def __init__(
        self,
        kind: EngineKind = "auto",
        *,
        threads: int = 1,
        memory: int | None = None,
        executor: Executor | None = None,
    ) -> None:
        self._kind = kind
        self._threads = threads
        self.memory = memory
        self._thread = executor or ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._models: dict[str, Model] = {}
        #: Memory of all models: there may be one a stream, and it is asked for with each that comes.
        self.num_bytes = 0
        self._closed = False

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run `work` in the worker thread, after everything that was asked for before it."""
        if self._closed:
            raise Problem("draining", "the server is stopping; send again.", retry_after_s=1.0)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def prepare(self, specs: Iterable[ModelSpec]) -> None:
        """Import torch, where these specs will need it, beside the engine's thread: that one has to go on."""
        if self._kind != "native" and any(spec.cell_spec.mixed_memory for spec in specs) and "torch" not in sys.modules:
            await asyncio.to_thread(import_module, "liquid_core.engine.torch_engine")

    def model(self, spec: ModelSpec) -> Model:
        """The one model of `spec`, built where it is not there; to be called in the engine's thread.

        Raises
        ------
        SpecError
            The spec cannot be built.
        EngineUnavailableError
            The native engine was asked for and does not know the spec's cell.
        """
        model = self._models.get(spec.digest)
        if model is None:
            engine = build_engine(spec, self._kind, threads=self._threads)
            if engine.name == "torch":
                import torch  # the engine has imported it

                torch.set_num_threads(self._threads)
            model = Model(spec=spec, engine=engine, slab=self._slab(engine), name=spec.cell_spec.kind)
            self._models[spec.digest] = model
            self.num_bytes += engine.overhead_bytes
        return model

    def _slab(self, engine: Engine) -> Slab:
        if self.memory is None:
            return Slab(engine.layout)
        return Slab(engine.layout, max_rows=max(1, self.memory // engine.layout.row_bytes))

    def load(self, model: Model, row: ByteArray) -> int:
        """Bring a stream into a model's slab; returns its slot. To be called in the engine's thread.

        Raises
        ------
        RoomFull
            There is no memory for it; the model is forgotten if no other stream uses it.
        """
        try:
            if self.memory is not None:
                needed = self.num_bytes + model.engine.bytes_per_stream - self.memory
                if needed > 0:
                    raise RoomFull(needed)
            try:
                return self.put(model, row)
            except SlabFullError as error:  # the system has given it fewer addresses
                raise RoomFull(model.engine.bytes_per_stream) from error
        except RoomFull:
            self.release(model)
            raise

    def put(self, model: Model, row: ByteArray) -> int:
        """`load`, whether or not there is memory for it."""
        slot = model.slab.load(row)
        self.num_bytes += model.engine.bytes_per_stream
        return slot

    def free(self, model: Model, slot: int) -> None:
        """Let a stream leave, and its model if it was the last one; to be called in the engine's thread."""
        model.slab.free(slot)
        self.num_bytes -= model.engine.bytes_per_stream
        self.release(model)

    def fold(self, model: Model, row: ByteArray, records: Sequence[Record]) -> tuple[Model, ByteArray]:
        """Apply records of one stream to its row of `model`; to be called in the engine's thread.

        Returns
        -------
        The model of the stream's last spec, which is another one where a record changed it, and the row there.
        """
        passed = [model]

        def engine_of(spec: ModelSpec) -> Engine:
            passed.append(self.model(spec))
            return passed[-1].engine

        try:
            engine, row = fold(model.engine, row, records, engine_of)
            return self.model(engine.spec), row
        finally:
            for each in passed[:-1]:
                self.release(each)

    def release(self, model: Model) -> None:
        """Forget a model that no stream uses; to be called in the engine's thread."""
        if len(model.slab) == 0 and self._models.get(model.spec.digest) is model:
            del self._models[model.spec.digest]
            self.num_bytes -= model.engine.overhead_bytes

    def models(self) -> list[Model]:
        return list(self._models.values())

    async def close(self) -> None:
        """Finish what was asked for, and take nothing more."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)


__all__ = ["EngineRoom", "Model", "RoomFull"]
