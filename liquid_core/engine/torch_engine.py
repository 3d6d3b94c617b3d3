"""The reference engine: many streams at once on torch, each with its own weights.

What a faster engine must reproduce. It is written to be read, and to be *batch-invariant*: the same records give the
same bits whatever else is stepped beside them. Batched tensor products do not promise that when the batch changes its
size (another kernel may be chosen, another order of sums), so streams are always stepped in tiles of `TILE`, the last
one filled up with idle rows. The shape that torch sees is then the same for a lone stream and for ten thousand, and
no operation mixes streams, each having weights of its own.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from liquid_core.engine.admission import fingerprint
from liquid_core.engine.records import Observation, Sample
from liquid_core.engine.results import StepResults
from liquid_core.engine.rows import RowEngine, network_of
from liquid_core.engine.slab import Slab
from liquid_core.engine.tile import Tile, TileRecords
from liquid_core.spec import ModelSpec
from liquid_core.types import ByteArray, IntArray

#: Streams side by side in one pass.
TILE = 8


class TorchEngine(RowEngine):
    """Steps streams of one spec.

    Parameters
    ----------
    spec
        The model.
    real
        Type of weights and hidden states: ``np.float32``, or ``np.float64`` to hold other engines against.
    """

    name = "torch"

    def __init__(self, spec: ModelSpec, real: type[np.floating[Any]] = np.float32) -> None:
        network = network_of(spec, real)
        super().__init__(spec, real, network.sizes, network.initial_weights.numpy())
        self.network = network
        self.numerics = numeric_fingerprint(self.name)

    def step(self, slab: Slab, slots: Sequence[int], records: Sequence[Observation]) -> StepResults:
        """Apply ``records[i]`` to the stream in ``slots[i]``, in order where a slot repeats.

        Records must have been admitted (`liquid_core.engine.admission`). The slab changes only by whole tiles: an
        exception leaves the streams of the tile that it came from as they were.
        """
        results = StepResults.empty(len(records), self.spec)
        for round_ in _rounds(slots):
            for start in range(0, len(round_), TILE):
                chosen = np.asarray(round_[start : start + TILE])
                at = np.asarray([slots[index] for index in chosen])
                rows = self._gather(slab, at)
                outcome = self._apply(rows, [records[index] for index in chosen])
                slab.rows[at] = rows[: len(at)]
                _scatter(outcome, results, chosen)
        return results

    def peek(self, slab: Slab, slot: int, sample: Sample) -> StepResults:
        """What the answer would be if `sample` came next; nothing changes."""
        rows = self._gather(slab, np.asarray([slot]))
        outcome = self._apply(rows, [sample], learning=False)
        results = StepResults.empty(1, self.spec)
        _scatter(outcome, results, np.asarray([0]))
        return results

    def _apply(self, rows: ByteArray, records: Sequence[Observation], *, learning: bool = True) -> StepResults:
        outcome = StepResults.empty(TILE, self.spec)
        tile = Tile(self.spec, self.network, self.layout.views(rows), outcome)
        # Non-finite intermediate values are what the guard is for.
        with np.errstate(all="ignore"):
            if learning:
                tile.step(self._tile_records(records))
            else:
                tile.look_ahead(self._tile_records(records))
        return outcome

    def _gather(self, slab: Slab, slots: IntArray) -> ByteArray:
        """Rows of a tile: those of `slots`, then fresh ones that nothing is applied to."""
        rows = np.empty((TILE, self.layout.row_bytes), dtype=np.uint8)
        rows[: len(slots)] = slab.rows[slots]
        rows[len(slots) :] = self._fresh_row
        return rows

    def _tile_records(self, records: Sequence[Observation]) -> TileRecords:
        tile = TileRecords(
            is_sample=np.zeros(TILE, dtype=np.bool_),
            has_label=np.zeros(TILE, dtype=np.bool_),
            seq=np.zeros(TILE, dtype=np.int64),
            t=np.zeros(TILE),
            x=np.full((TILE, self.spec.num_features), np.nan),
            y=np.full((TILE, self.spec.num_targets), np.nan),
            fingerprint=np.zeros(TILE, dtype=np.int64),
        )
        for lane, record in enumerate(records):
            tile.seq[lane] = record.seq
            if record.y is not None:
                tile.has_label[lane] = True
                tile.y[lane] = record.y
            if isinstance(record, Sample):
                tile.is_sample[lane] = True
                tile.t[lane], tile.x[lane] = record.t, record.x
                tile.fingerprint[lane] = fingerprint(record)
        return tile


def numeric_fingerprint(engine: str) -> str:
    """What decides the last bits of a result: library, instruction set and engine. Equal fingerprints, equal bits."""
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{engine}; torch {torch.__version__}; numpy {np.__version__}; {platform.machine()} {capability}"


def _rounds(slots: Sequence[int]) -> list[list[int]]:
    """Indices of records that may be stepped together: the first one of every slot, then the second ones, and so on."""
    rounds: list[list[int]] = []
    seen: dict[int, int] = {}
    for index, slot in enumerate(slots):
        turn = seen.get(slot, 0)
        seen[slot] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(index)
    return rounds


def _scatter(outcome: StepResults, results: StepResults, indices: NDArray[np.int64]) -> None:
    for name in ("prediction", "median", "half_width", "anomaly", "surprise", "drift", "update"):
        getattr(results, name)[indices] = getattr(outcome, name)[: len(indices)]


__all__ = ["TILE", "TorchEngine", "numeric_fingerprint"]
