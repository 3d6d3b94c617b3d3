"""Our engines, stepped as the service steps them: records in, one call a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from benchmarks.contender import MissingPeerError
from benchmarks.models import FEATURES, WINDOW, Model
from liquid_core.engine import Sample, Slab, Update, build_engine, native_status

#: Samples that streams have learned from before they are measured: the window is full, the scaler settled.
PREPARED = WINDOW + 8
#: Streams that are prepared; all others start as copies of them.
DONORS = 8

OurBatch = tuple[list[int], list[Sample]]


class OurStreams:
    """Streams in a slab, and an engine.

    Parameters
    ----------
    streams
        Streams in the slab.
    active
        How many of them get samples; all by default.
    burst
        Samples that each of these gets in one call.
    threads
        Threads of the native engine.

    Raises
    ------
    MissingPeerError
        No native kernels were built here.
    """

    def __init__(
        self,
        model: Model,
        kind: Literal["native", "torch"],
        streams: int,
        *,
        active: int | None = None,
        burst: int = 1,
        threads: int = 1,
    ) -> None:
        if kind == "native" and not native_status().available:
            raise MissingPeerError(f"the native engine cannot run: {native_status().reason}")
        self._engine = build_engine(model.spec(), kind, threads=threads)
        self._slab = Slab(self._engine.layout)
        self._rng = np.random.default_rng(0)
        self._seq = 0
        rows = self._prepared_rows()
        slots = [self._slab.load(rows[index % DONORS]) for index in range(streams)]
        active = streams if active is None else active
        # Spread over the slab: streams that are busy at the same time do not lie side by side.
        self._slots = slots[:: streams // active][:active]
        self._burst = burst
        self._levels = np.zeros((active, len(FEATURES)))
        self.samples_per_batch = active * burst
        self.bytes_per_stream = self._engine.bytes_per_stream
        self.num_params = self._engine.num_params
        #: Samples of the last batch that a stream learned from.
        self.learned = 0

    def batches(self, count: int) -> Sequence[OurBatch]:
        return [self._batch() for _ in range(count)]

    def step(self, batch: OurBatch) -> None:
        results = self._engine.step(self._slab, *batch)
        self.learned = int((results.update == Update.APPLIED).sum())

    def _batch(self) -> OurBatch:
        records = [sample for _ in range(self._burst) for sample in self._samples()]
        return self._slots * self._burst, records

    def _samples(self) -> list[Sample]:
        """The next sample of every active stream: a random walk in each feature, one second later."""
        self._seq += 1
        self._levels += self._rng.standard_normal(self._levels.shape)
        return [Sample(seq=self._seq, t=float(self._seq), x=tuple(values)) for values in self._levels.tolist()]

    def _prepared_rows(self) -> list[np.ndarray]:
        slab = Slab(self._engine.layout)
        slots = [slab.load(self._engine.initial_row()) for _ in range(DONORS)]
        self._levels = np.zeros((DONORS, len(FEATURES)))
        for _ in range(PREPARED):
            results = self._engine.step(slab, slots, self._samples())
        if not (results.update == Update.APPLIED).all():
            raise RuntimeError("the streams to be measured do not learn from every sample.")
        return [slab.read(slot) for slot in slots]


__all__ = ["DONORS", "PREPARED", "OurStreams"]
