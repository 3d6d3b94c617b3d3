"""A start: store and engine are opened side by side, and where one fails nothing of the other is left."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from liquid_core.errors import EngineUnavailableError
from service import opening
from service.child_server import ChildServer
from service.metrics import Metrics
from service.opening import open_host
from service.settings import Settings
from service.store import StoreRefused
from service.store.data_dir import DataDir


async def open_in(directory: Path, **settings: object) -> None:
    """A start, and the end of it."""
    async with AsyncExitStack() as stack:
        await open_host(Settings(data_dir=directory, **settings), Metrics(), stack)  # type: ignore[arg-type]


def assert_nothing_is_left(directory: Path) -> None:
    """Neither a server nor a service has the directory."""
    free = DataDir(directory)
    free.hold()
    lock = free.try_lock_server()
    assert lock is not None
    os.close(lock)
    free.release()


async def test_a_store_is_closed_again_where_the_engine_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the engine has failed long before the store was there."""
    monkeypatch.setenv("LIQUID_ISA", "z80")
    with pytest.raises(EngineUnavailableError, match="`native` was asked for"):
        await open_in(tmp_path, engine="native")
    assert_nothing_is_left(tmp_path)


async def test_a_package_that_is_broken_is_no_riddle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said is what cannot be imported, and no server is left."""
    monkeypatch.setitem(sys.modules, "service.shard.host", None)
    with pytest.raises(EngineUnavailableError, match=r"service\.shard\.host.*install liquidstream again"):
        await open_in(tmp_path)
    assert_nothing_is_left(tmp_path)


async def test_the_store_says_why_it_does_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine is not asked whether it would have been there."""
    monkeypatch.setenv("LIQUID_REDIS_SERVER", str(tmp_path / "nobody"))
    with pytest.raises(StoreRefused, match="does not run"):
        await open_in(tmp_path)


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.1, 0.3])
async def test_a_start_that_is_broken_off_leaves_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_s: float
) -> None:
    """However far it has come; here the engine takes for ever."""
    forever = asyncio.Event()
    monkeypatch.setattr(opening, "_engine", lambda _: forever.wait())
    starting = asyncio.create_task(open_in(tmp_path))
    await asyncio.sleep(after_s)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    async with asyncio.timeout(10):
        while (lock := DataDir(tmp_path).try_lock_server()) is None:  # it has been told to end
            await asyncio.sleep(0.01)
    os.close(lock)
    assert_nothing_is_left(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="says in /proc what a process has loaded")
def test_a_server_runs_without_torch(tmp_path: Path) -> None:
    """Native streams need none of it, which takes more than a second to import, and more memory than the server has."""
    with ChildServer(tmp_path) as server:
        loaded = Path(f"/proc/{server.pid}/maps").read_text()
    assert "_kernels" in loaded
    assert "libtorch" not in loaded
