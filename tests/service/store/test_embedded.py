"""The embedded server: one a directory, back when it dies, gone when the service is."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.store import EmbeddedStore, StoreRefused, StoreUnavailable, StreamStore
from service.store import embedded as embedded_module
from service.store.binaries import ENVIRONMENT_VARIABLE, find_server
from service.store.data_dir import MAX_SOCKET_PATH, DataDir
from tests.conftest import LEASE_S
from tests.service.store.streams import read

#: A service that starts its store, tells the server's process id, and then waits to be killed.
SERVICE = """
import asyncio, sys
from pathlib import Path
from service.store import EmbeddedStore

async def main():
    embedded = EmbeddedStore(Path(sys.argv[1]), use_pipe=sys.argv[2] == "pipe")
    await embedded.start()
    print("pid", embedded.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_every_write_is_on_the_disk_before_it_is_acknowledged(embedded: EmbeddedStore) -> None:
    """The server that we start passes our own check at the highest level, without a warning."""
    store = await StreamStore.connect(await embedded.start())
    health = await store.self_check()
    assert (health.durability, health.warnings) == ("fsync", ())
    await store.close()


async def test_only_this_user_reaches_the_socket(embedded: EmbeddedStore, tmp_path: Path) -> None:
    """Socket and files are closed to all others, and there is no port."""
    socket = Path((await embedded.start()).removeprefix("unix://"))
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert not any(stat.S_IMODE(path.stat().st_mode) & 0o077 for path in tmp_path.rglob("*"))
    assert b"port=0" in (tmp_path / "store.log").read_bytes()


async def test_a_ctrl_c_in_the_terminal_does_not_reach_the_server(embedded: EmbeddedStore) -> None:
    """The server is in a session of its own: the service needs it until it has drained."""
    await embedded.start()
    assert embedded.pid is not None
    assert os.getsid(embedded.pid) == embedded.pid != os.getsid(0)


async def test_streams_survive_a_restart_of_the_service(embedded: EmbeddedStore, tmp_path: Path) -> None:
    """Stopped and started again, the directory gives back what was written."""
    await _write(await embedded.start(), b"meta")
    await embedded.stop()
    assert embedded.pid is None
    again = EmbeddedStore(tmp_path)
    assert await _read(await again.start()) == b"meta"
    await again.stop()


async def test_a_server_that_dies_comes_back_with_its_data(embedded: EmbeddedStore) -> None:
    """After a SIGKILL the supervisor starts another one on the same data, at the same URL."""
    url = await embedded.start()
    await _write(url, b"meta")
    for restarts in (1, 2):
        assert embedded.pid is not None
        os.kill(embedded.pid, signal.SIGKILL)
        await _until(lambda restarts=restarts: embedded.restarts == restarts and embedded.pid is not None)
        assert await _read(url) == b"meta"


async def test_a_second_service_on_the_directory_is_refused(embedded: EmbeddedStore, tmp_path: Path) -> None:
    """The message names the process that has it; the first one is not disturbed."""
    url = await embedded.start()
    with pytest.raises(StoreRefused, match=f"in use by process {os.getpid()}; stop that one, or name another"):
        await EmbeddedStore(tmp_path).start()
    await _write(url, b"meta")
    with pytest.raises(RuntimeError, match="started already"):
        await embedded.start()


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("way", ["kernel", "pipe"])
async def test_a_killed_service_leaves_no_server(tmp_path: Path, way: str) -> None:
    """A SIGKILL of the service ends the server too, and the directory can be used at once."""
    if way == "kernel" and sys.platform != "linux":
        way = "pipe"
    service = subprocess.Popen([sys.executable, "-c", SERVICE, str(tmp_path), way], stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    with service.stdout:
        pid = next(int(line.split()[1]) for line in service.stdout if line.startswith("pid"))
        assert _is_running(pid)
        service.kill()
        service.wait()
    again = EmbeddedStore(tmp_path)
    await _write(await again.start(), b"meta")
    assert not _is_running(pid)
    await again.stop()


async def test_a_server_without_its_service_is_replaced(embedded: EmbeddedStore, tmp_path: Path) -> None:
    """Should one have been left behind all the same, it is ended in good order and its data taken over."""
    orphan = _orphan(tmp_path)
    await _until(lambda: (tmp_path / "store.sock").exists())
    await _write(f"unix://{tmp_path}/store.sock", b"meta")
    url = await embedded.start()
    assert orphan.wait() == 0
    assert await _read(url) == b"meta"


async def test_a_server_that_does_not_end_is_not_joined(
    embedded: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than have two servers on one directory, the start is refused."""
    monkeypatch.setattr(embedded_module, "_ORPHAN_TIMEOUT_S", 0.3)
    orphan = _orphan(tmp_path)
    await _until(lambda: (tmp_path / "store.sock").exists())
    orphan.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(StoreRefused, match=r"still works in .* end it"):
            await embedded.start()
    finally:
        orphan.kill()
        orphan.wait()


async def test_a_server_that_cannot_start_says_why(embedded: EmbeddedStore, tmp_path: Path) -> None:
    """The error has the end of the server's log, and the directory is free again."""
    await embedded.start()
    await embedded.stop()
    manifest = next((tmp_path / "appendonlydir").glob("*.manifest"))
    manifest.write_text("this is no manifest\n")
    with pytest.raises(StoreUnavailable, match=r"did not start(.|\n)*manifest"):
        await embedded.start()
    DataDir(tmp_path).hold()


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("name", ["with blanks", "x" * 120, "ümlaut", "per%cent"])
async def test_any_directory_will_do(tmp_path: Path, name: str) -> None:
    """Blanks, other letters and more characters than a socket's path may have are no obstacle."""
    embedded = EmbeddedStore(tmp_path / name)
    url = await embedded.start()
    await _write(url, b"meta")
    assert await _read(url) == b"meta"
    socket = DataDir(tmp_path / name).socket()
    assert len(os.fsencode(socket)) <= MAX_SOCKET_PATH
    await embedded.stop()
    assert not socket.exists()


def test_a_directory_that_others_can_enter_gets_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a public place somebody else may have made the directory first."""
    with tempfile.TemporaryDirectory(dir="/tmp") as public:
        monkeypatch.setenv("XDG_RUNTIME_DIR", public)
        far = DataDir(Path("/") / ("x" * 120))
        folder = far.socket().parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        folder.chmod(0o755)
        with pytest.raises(StoreRefused, match="remove it"):
            far.socket()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A file in the way is an error that says what to do."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreRefused, match="name another one"):
        DataDir(tmp_path / "file" / "data").hold()


def test_the_packages_own_server_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any setting, and with nothing on the PATH, there is Valkey 9."""
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "")
    assert "v=9." in find_server().version


def test_a_named_server_that_does_not_run_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a server does not get another one in silence."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "/bin/false")
    with pytest.raises(StoreRefused, match="/bin/false, which does not run"):
        find_server()


def _orphan(folder: Path) -> subprocess.Popen[bytes]:
    """A server that nothing ends, as if the means to do so had failed."""
    lock = DataDir(folder).try_lock_server()
    assert lock is not None
    command = [find_server().path, "--port", "0", "--unixsocket", "store.sock", "--appendonly", "yes", "--save", ""]
    orphan = subprocess.Popen(command, cwd=folder, pass_fds=(lock,), stdout=subprocess.DEVNULL)
    os.close(lock)
    return orphan


def _is_running(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


async def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


async def _write(url: str, meta: bytes) -> None:
    store = await StreamStore.connect(url)
    await store.acquire(range(store.num_shards), lease_s=LEASE_S)
    assert await store.create("pump", meta)
    await store.close()


async def _read(url: str) -> bytes:
    """The stream's meta, once a server answers; the one that does at first may be the one that is to be replaced."""
    deadline = time.monotonic() + 30
    while True:
        try:
            store = await StreamStore.connect(url)
            try:
                await store.acquire(range(store.num_shards), lease_s=LEASE_S, by_force=True)
                return (await read(store, "pump")).meta
            finally:
                await store.close()
        except StoreUnavailable:
            assert time.monotonic() < deadline, "the server did not come back"
            await asyncio.sleep(0.01)
