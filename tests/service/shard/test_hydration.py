"""Hydration: cold streams come into memory together, those that somebody waits for first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from liquid_core.engine.engine import Engine
from liquid_core.engine.records import Record
from liquid_core.engine.slab import Slab
from service.shard.hydration import MAX_TOGETHER

from .conftest import Fold, Rig, assert_same, samples, tiny


async def make(rig: Rig, count: int, *, records: int = 3) -> list[str]:
    """Streams of two specs, so many of each."""
    ids = [f"{task}-{number}" for task in ("forecast", "wired") for number in range(count)]
    for number, stream_id in enumerate(ids):
        spec = tiny(stream_id.split("-")[0])
        await rig.host.create(stream_id, spec)
        await rig.host.submit_samples(stream_id, samples(spec, records, phase=number))
    return ids


async def let_go(rig: Rig) -> None:
    """Evict everything, as far as nobody uses it."""
    await rig.host._table.evict(rig.host._table.hot())


async def test_streams_that_are_touched_together_come_together(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is what it was; the engine replays those of a model beside each other."""
    ids = await make(rig, MAX_TOGETHER // 2)
    await let_go(rig)
    replayed = count_steps(rig, monkeypatch)
    await asyncio.gather(*(rig.host.describe(stream_id) for stream_id in ids for _ in range(2)))
    assert rig.value("hydrations_total") == 2 * len(ids)  # they were made, and came back
    assert sum(replayed) == 3 * len(ids)
    assert len(replayed) <= 4
    for number, stream_id in enumerate(ids):
        spec = tiny(stream_id.split("-")[0])
        assert_same(await rig.arrays(stream_id), Fold(spec).apply(*samples(spec, 3, phase=number)).arrays)


def count_steps(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Records of each call of an engine from now on."""
    counts: list[int] = []
    build = rig.host._room._build  # the models are built anew after all their streams have left

    def watched(*arguments: Any) -> Engine:
        engine = build(*arguments)
        step = engine.step

        def counted(slab: Slab, slots: Sequence[int], records: Sequence[Record]) -> Any:
            counts.append(len(records))
            return step(slab, slots, records)

        engine.step = counted  # type: ignore[method-assign]
        return engine

    monkeypatch.setattr(rig.host._room, "_build", watched)
    return counts
