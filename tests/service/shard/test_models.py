"""The engine room: one model a spec, one thread for all of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial

import pytest

from service.problems import Problem
from service.shard.models import EngineRoom

from .conftest import OpenHost, samples, tiny


@pytest.fixture
async def room() -> AsyncIterator[EngineRoom]:
    room = EngineRoom()
    yield room
    await room.close()


async def test_work_is_done_in_order_by_one_thread(room: EngineRoom) -> None:
    """What is asked for later sees what was asked for before, and never overlaps with it."""
    done: list[tuple[int, str]] = []
    await asyncio.gather(*(room.run(lambda n=n: done.append((n, threading.current_thread().name))) for n in range(50)))
    assert [number for number, _ in done] == [*range(50)]
    assert len({thread for _, thread in done}) == 1


async def test_a_spec_has_one_model_however_many_ask_for_it(room: EngineRoom) -> None:
    """Streams that are created at the same moment share a slab: two slabs would share their slots' numbers."""
    models = await asyncio.gather(*(room.run(partial(room.model, tiny())) for _ in range(8)))
    assert len({id(model) for model in models}) == 1
    assert room.models() == [models[0]]


async def test_equal_specs_are_one_model_and_others_are_not(room: EngineRoom) -> None:
    """The digest decides, not the object."""
    first, again, other = [await room.run(partial(room.model, spec)) for spec in (tiny(), tiny(), tiny(seed=1))]
    assert first is again
    assert first is not other


async def test_a_model_that_no_stream_uses_is_forgotten(room: EngineRoom) -> None:
    """However many specs come and go, memory holds those in use."""
    used = await room.run(partial(room.model, tiny()))
    used.slab.load(used.engine.initial_row())
    idle = await room.run(partial(room.model, tiny("regression")))
    for model in (used, idle):
        await room.run(partial(room.release, model))
    assert room.models() == [used]


async def test_a_closed_room_takes_nothing_more(room: EngineRoom) -> None:
    """What was asked for before is finished; later callers are told that the server stops."""
    asked = asyncio.create_task(room.run(lambda: 7))
    await asyncio.sleep(0)
    await room.close()
    assert await asked == 7
    with pytest.raises(Problem, match="stopping"):
        await room.run(lambda: 8)


async def test_what_fails_in_the_thread_fails_for_its_caller_only(room: EngineRoom) -> None:
    """The thread goes on."""
    with pytest.raises(ZeroDivisionError):
        await room.run(lambda: 1 // 0)
    assert await room.run(lambda: 7) == 7


async def test_memory_is_that_of_the_models_that_have_streams(open_host: OpenHost) -> None:
    """Whatever comes, changes, leaves and goes; an engine goes with the last of its streams."""
    rig = await open_host(room_for=6)
    room = rig.host._room

    def check() -> None:
        assert room.num_bytes == sum(model.num_bytes for model in room.models())
        assert all(len(model.slab) for model in room.models())

    for number in range(12):  # a spec each, and more of them than there is room for
        await rig.host.create(f"pump-{number}", tiny(seed=number))
        await rig.host.submit_samples(f"pump-{number}", samples(tiny(), 2))
        check()
    await rig.host.verbs.change_spec("pump-3", {"seed": 77})
    await rig.host.verbs.fork("pump-3", "pump-4b")
    check()
    with pytest.raises(Problem):
        await rig.host.create("pump-3", tiny(seed=1000))
    check()
    assert 1 <= len(room.models()) <= 6
    for stream_id in [f"pump-{number}" for number in range(12)] + ["pump-4b"]:
        await rig.host.delete(stream_id)
        check()
    assert (room.models(), room.num_bytes) == ([], 0)
