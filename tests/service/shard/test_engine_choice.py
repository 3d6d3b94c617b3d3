"""Which engine a server runs, and what it says where that is not the native one."""

from __future__ import annotations

import os

import pytest

from liquid_core.engine.native import native_status
from liquid_core.errors import EngineUnavailableError
from service.messages import ColdStream
from service.problems import Problem
from service.shard.engine_choice import choose_engine, threads_of

from .conftest import Fold, OpenHost, assert_same, refusals, samples, tiny

MIXED = {"kind": "cfc", "units": 4, "backbone_units": 4, "mixed_memory": True}


@pytest.fixture
def _no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor that runs none of the builds."""
    monkeypatch.setenv("LIQUID_ISA", "z80")


@pytest.fixture
def _kernels() -> None:
    """Where none were built there is nothing to test; CI must have them."""
    status = native_status()
    if not status.available:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(status.reason)


@pytest.mark.usefixtures("_kernels")
def test_the_native_engine_is_the_default() -> None:
    """Where its kernels were built; the instruction set is named with it."""
    chosen = choose_engine("auto")
    assert (chosen.name, chosen.isa, chosen.fallback) == ("native", native_status().isa, None)
    assert str(chosen) == f"native {chosen.isa}"
    assert str(choose_engine("native")) == str(chosen)


@pytest.mark.usefixtures("_no_kernels")
def test_without_kernels_the_reference_takes_over_and_says_why() -> None:
    """Who left the choice open gets an engine all the same; who asked for the native one gets none."""
    chosen = choose_engine("auto")
    assert str(chosen) == "torch"
    assert chosen.fallback == native_status().reason != ""
    with pytest.raises(EngineUnavailableError, match="`native` was asked for, but"):
        choose_engine("native")


def test_the_reference_can_be_asked_for() -> None:
    """Then there is nothing to explain."""
    chosen = choose_engine("torch")
    assert (str(chosen), chosen.fallback) == ("torch", None)


def test_threads_are_counted_by_what_this_process_may_use() -> None:
    """0 stands for every processor, another number for itself."""
    assert threads_of(0) == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads_of(0) >= 1
    assert threads_of(3) == 3


async def test_a_host_tells_its_engine(open_host: OpenHost) -> None:
    """In its readiness, in a metric, and in each stream's description."""
    for kind in ("auto", "torch"):
        chosen = choose_engine(kind)
        rig = await open_host(engine=kind)
        info, _ = await rig.host.create("pump", tiny())
        readiness = rig.host.readiness()
        assert (readiness.engine, readiness.engine_fallback) == (str(chosen), chosen.fallback)
        assert rig.value("engine_info", engine=chosen.name, isa=chosen.isa) == 1
        assert info.engine == chosen.name
        assert info.state_bytes > 4 * info.parameters
        await rig.host.drain()


async def test_a_cell_that_kernels_do_not_know_is_stepped_by_the_reference(open_host: OpenHost) -> None:
    """Beside the streams of the native engine, and its description says so."""
    rig = await open_host()
    spec = tiny(cell=MIXED)
    info, _ = await rig.host.create("mixed", spec)
    assert info.engine == "torch"
    await rig.host.create("plain", tiny())
    for stream_id, each in (("mixed", spec), ("plain", tiny())):
        await rig.host.submit_samples(stream_id, samples(each, 8))
        assert_same(await rig.arrays(stream_id), Fold(each).apply(*samples(each, 8)).arrays)


@pytest.mark.usefixtures("_kernels")
async def test_a_native_server_refuses_a_cell_that_its_kernels_do_not_know(open_host: OpenHost) -> None:
    """Whoever asked for the native engine wants no slower one in secret; nothing is left behind of the stream."""
    rig = await open_host(engine="native")
    with pytest.raises(Problem, match="--engine auto") as refused:
        await rig.host.create("mixed", tiny(cell=MIXED))
    assert refused.value.code == "engine_unavailable"
    assert (await rig.host.list(None, 10)).streams == []


@pytest.mark.usefixtures("_kernels")
async def test_a_stream_that_this_engine_does_not_know_waits_for_another(open_host: OpenHost) -> None:
    """A server of another engine made it: it is refused, stays in the store, and is unharmed."""
    spec = tiny(cell=MIXED)
    first = await open_host()
    await first.host.create("mixed", spec)
    await first.host.create("plain", tiny())
    await first.host.submit_samples("mixed", samples(spec, 5))
    await first.host.drain()
    strict = await open_host(engine="native")
    with pytest.raises(Problem, match="--engine auto"):
        await strict.host.submit_samples("mixed", samples(spec, 1, first=6))
    listed = (await strict.host.list(None, 10)).streams
    assert sorted(info.id for info in listed) == ["mixed", "plain"]
    assert "mixed" in [info.id for info in listed if isinstance(info, ColdStream)]
    await strict.host.drain()
    last = await open_host()
    assert_same(await last.arrays("mixed"), Fold(spec).apply(*samples(spec, 5)).arrays)


async def test_a_stream_may_move_to_another_engine(open_host: OpenHost) -> None:
    """It goes on where it was, from its snapshot or from its log, and what was answered stays answered."""
    spec = tiny("wired")
    first = await open_host(engine="torch")
    await first.host.create("pump", spec)
    before = await first.host.submit_samples("pump", samples(spec, 10))
    await first.host.drain()
    second = await open_host(engine="auto")
    (again,) = await second.host.submit_samples("pump", samples(spec, 1, first=10))
    assert (again.duplicate, again.predictions) == (True, before[-1].predictions)
    assert refusals(await second.host.submit_samples("pump", samples(spec, 5, first=11))) == [None] * 5
    assert (await second.host.describe("pump")).engine == choose_engine("auto").name


async def test_threads_change_no_bit(open_host: OpenHost) -> None:
    """However many streams of a micro-batch are spread over however many threads."""
    for threads in (0, 1, 3):
        rig = await open_host(engine_threads=threads)
        for number in range(12):
            stream_id, sent = f"pump-{threads}-{number}", samples(tiny(), 6, phase=number)
            await rig.host.create(stream_id, tiny())
            await rig.host.submit_samples(stream_id, sent)
            assert_same(await rig.arrays(stream_id), Fold(tiny()).apply(*sent).arrays)
        await rig.host.drain()
