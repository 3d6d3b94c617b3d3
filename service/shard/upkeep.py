"""Upkeep: what a host does beside its micro-batches, now and then, in the background."""

from __future__ import annotations

import asyncio

import numpy as np
import structlog

from service import clock
from service.metrics import Metrics
from service.shard.models import EngineRoom
from service.shard.ownership import Ownership
from service.shard.snapshots import Snapshotter, is_long
from service.shard.store_gate import StoreGate
from service.shard.streams import HotStream, StreamTable
from service.store import Fenced, StoreError, StreamStore

log = structlog.get_logger(__name__)

INTERVAL_S = 2.0
#: Quantiles of the streams' recent error over the naive one that are shown as metrics.
QUANTILES = (0.1, 0.5, 0.9)


class Upkeep:
    """Snapshots of streams that fell idle, and fleet metrics."""

    def __init__(
        self,
        *,
        store: StreamStore,
        room: EngineRoom,
        table: StreamTable,
        snapshotter: Snapshotter,
        ownership: Ownership,
        gate: StoreGate,
        metrics: Metrics,
        idle_s: float,
    ) -> None:
        self._store = store
        self._room = room
        self._table = table
        self._snapshotter = snapshotter
        self._ownership = ownership
        self._gate = gate
        self._metrics = metrics
        self._idle_s = idle_s

    async def run(self) -> None:
        """Go round until cancelled; a round that fails is logged, and the next one comes."""
        while True:
            try:
                await self._round()
            except Fenced as error:
                self._ownership.lose_to(error)
            except StoreError as error:
                log.warning("upkeep_failed", error=str(error))
            except Exception:
                log.exception("upkeep_failed")
            await asyncio.sleep(INTERVAL_S)

    async def _round(self) -> None:
        await self._show_fleet()
        if self._gate.is_open and self._ownership.held:
            self._metrics.streams.set(await self._store.count())
            await self._snapshot_idle()

    async def _snapshot_idle(self) -> None:
        before = clock.now() - self._idle_s
        idle = [hot for hot in self._table.hot() if is_long(hot.replay_length) and hot.changed_at < before]
        await self._snapshotter.write(idle)

    def _show_stream_bytes(self, hot: list[HotStream]) -> None:
        by_model: dict[str, list[int]] = {}
        for stream in hot:
            by_model.setdefault(stream.model.name, []).append(stream.model.engine.bytes_per_stream)
        self._metrics.stream_bytes.clear()
        for name, sizes in by_model.items():
            self._metrics.stream_bytes.labels(model=name).set(sum(sizes) / len(sizes))

    async def _show_fleet(self) -> None:
        hot = self._table.hot()
        metrics = self._metrics
        metrics.streams_hot.set(len(hot))
        metrics.state_bytes.set(self._room.num_bytes)
        metrics.memory_limit_bytes.set(self._room.memory or 0)
        self._show_stream_bytes(hot)
        behind = [stream for stream in hot if stream.replay_length > 0]
        metrics.log_entries_since_snapshot_max.set(max((stream.replay_length for stream in behind), default=0))
        oldest = min((stream.snapshot_at for stream in behind if is_long(stream.replay_length)), default=clock.now())
        metrics.snapshot_age_seconds_max.set(clock.now() - oldest)

        def ratios() -> dict[str, list[float]]:
            # Looked up here, in the engine's thread, where no slot changes hands meanwhile.
            slots: dict[int, list[int]] = {}
            for stream in hot:
                if not stream.abandoned:
                    slots.setdefault(id(stream.model), []).append(stream.slot)
            by_model: dict[str, list[float]] = {}
            for model in self._room.models():
                at = slots.get(id(model), [])
                layout, rows = model.engine.layout, model.slab.rows
                error = layout.view(rows, "metrics.recent")[at]
                naive = layout.view(rows, "metrics.recent_naive")[at]
                counted = naive > 0
                by_model.setdefault(model.name, []).extend((error[counted] / naive[counted]).tolist())
            return by_model

        for name, values in (await self._room.run(ratios)).items():
            for quantile in QUANTILES if values else ():
                metrics.prequential_error_ratio.labels(model=name, quantile=f"{quantile:g}").set(
                    float(np.quantile(values, quantile))
                )


__all__ = ["Upkeep"]
