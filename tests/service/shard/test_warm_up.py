"""Warm-up: after a start streams are in memory before anybody asks, as far as there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from service.shard import warm_up
from service.store import StoreCorrupt

from .conftest import FaultyStore, OpenHost, Rig, memory_of, samples, tiny, until


async def make(rig: Rig, count: int) -> None:
    for number in range(count):
        await rig.host.create(f"pump-{number}", tiny())
        await rig.host.submit_samples(f"pump-{number}", samples(tiny(), 2))


def is_over(rig: Rig) -> bool:
    return rig.host._warming is not None and rig.host._warming.done()


async def test_a_start_brings_all_streams_into_memory(
    rig: Rig, open_host: OpenHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, where there is room for all."""
    monkeypatch.setattr(warm_up, "PAGE", 2)
    await make(rig, 5)
    second = await open_host()
    await until(lambda: second.value("hydrations_total") == 5)
    assert second.value("replay_entries_total") == 10


async def test_a_damaged_stream_holds_up_no_other(
    rig: Rig, open_host: OpenHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its neighbours in the same group come in without it."""
    await make(rig, 5)
    read = FaultyStore.read_streams

    async def damaged(self: FaultyStore, stream_ids: Sequence[str]) -> list[Any]:
        found = await read(self, stream_ids)
        lost = StoreCorrupt("the test has damaged it")
        return [lost if stream_id == "pump-2" else stream for stream_id, stream in zip(stream_ids, found, strict=True)]

    monkeypatch.setattr(FaultyStore, "read_streams", damaged)
    second = await open_host()
    await until(lambda: is_over(second))
    assert {stream.id for stream in second.host._table.hot()} == {f"pump-{number}" for number in (0, 1, 3, 4)}


async def test_a_start_leaves_room_for_those_that_are_touched(rig: Rig, open_host: OpenHost) -> None:
    """Nobody leaves memory for a stream that nobody has asked for."""
    await make(rig, 40)
    second = await open_host(room_for=32)
    await until(lambda: is_over(second))
    assert warm_up.SHARE * memory_of(32) < second.host._room.num_bytes <= memory_of(32)
    assert [second.value("evictions_total", reason=reason) for reason in ("memory", "memory_fresh")] == [0, 0]
