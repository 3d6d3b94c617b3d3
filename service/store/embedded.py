"""A server of our own, for a machine that has none: started, watched, started again, and never left behind.

Kept by the kernel, and so also when the service is killed:

* one service a directory: a lock that ends with the service;
* one server a directory: a lock that ends with the server;
* no server without its service: the kernel (Linux) or a pipe (elsewhere) ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from urllib.parse import quote

import structlog

from service.store.binaries import ServerBinary, find_server
from service.store.data_dir import DataDir
from service.store.errors import StoreError, StoreRefused, StoreUnavailable
from service.store.server_process import ServerProcess

log = structlog.get_logger(__name__)

#: Longest silence of a server that is starting. One that reads its file says so, and may take as long as it needs.
_START_TIMEOUT_S = 30.0
#: Longest wait for the server of an earlier run to end.
_ORPHAN_TIMEOUT_S = 15.0
_FIRST_BACKOFF_S, _LAST_BACKOFF_S = 0.1, 5.0
#: A server that ran for so long did start; the next pause is the shortest one again.
_HEALTHY_AFTER_S = 30.0
_POLL_S = 0.02


class EmbeddedStore:
    """A supervised server on a unix socket; every write is on the disk before it is acknowledged.

    Parameters
    ----------
    data_dir
        Where the streams live. One service at a time may use it.
    max_memory_bytes
        More than this, and writes fail with `StoreFull`; 0 for no limit.
    """

    def __init__(self, data_dir: Path, *, max_memory_bytes: int = 0, use_pipe: bool | None = None) -> None:
        self._directory = DataDir(data_dir)
        self._max_memory_bytes = max_memory_bytes
        self._use_pipe = use_pipe
        self._restarts = 0
        self._socket = self._directory.path / "store.sock"
        self._server: ServerProcess | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def restarts(self) -> int:
        """How often the server died and was started again."""
        return self._restarts

    @property
    def pid(self) -> int | None:
        """Process id of the server; `None` while none runs."""
        return self._server.pid if self._server is not None and not self._server.ended else None

    async def start(self) -> str:
        """Start the server, and watch it from now on.

        Returns
        -------
        URL for `StreamStore.connect`.

        Raises
        ------
        StoreRefused
            Another service uses the directory, or no server program is there.
        StoreUnavailable
            The server does not start; the message has the end of its log.
        """
        if self._watch is not None:
            raise RuntimeError("this embedded store is started already")
        binary = await asyncio.to_thread(find_server)
        self._directory.hold()
        try:
            self._socket = self._directory.socket()
            server = await self._start_server(binary)
        except BaseException:
            await self._stop_server()
            self._give_back()
            raise
        self._watch = asyncio.create_task(self._keep_running(server, binary), name="embedded-store")
        log.info("embedded_store_started", server=binary.version, data_dir=str(self._directory.path))
        return f"unix://{quote(str(self._socket))}"

    async def stop(self) -> None:
        """End the server and give the directory back."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        await self._stop_server()
        self._give_back()

    def _give_back(self) -> None:
        if self._socket.parent != self._directory.path:
            with contextlib.suppress(OSError):
                self._socket.parent.rmdir()
        self._directory.release()

    async def _stop_server(self) -> None:
        if self._server is not None:
            await self._server.stop()
            self._server = None

    async def _keep_running(self, server: ServerProcess, binary: ServerBinary) -> None:
        backoff = _FIRST_BACKOFF_S
        while True:
            started = time.monotonic()
            status = await server.wait()
            if time.monotonic() - started > _HEALTHY_AFTER_S:
                backoff = _FIRST_BACKOFF_S
            log.error("embedded_store_died", status=status, restart_in_s=backoff, log=self._directory.log_tail())
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _LAST_BACKOFF_S)
            self._restarts += 1
            try:
                server = await self._start_server(binary)
            except (StoreError, OSError) as error:
                log.error("embedded_store_not_restarted", error=str(error))
                await self._stop_server()

    async def _start_server(self, binary: ServerBinary) -> ServerProcess:
        """Start the server and wait until it answers."""
        lock = await self._lock_server()
        try:
            with self._directory.open_log() as output:
                self._server = server = await ServerProcess.start(
                    [str(binary.path), *self._settings()],
                    folder=self._directory.path,
                    log=output,
                    lock=lock,
                    use_pipe=self._use_pipe,
                )
        finally:
            os.close(lock)  # the server has its own copy
        await self._until_it_answers(server)
        return server

    def _settings(self) -> list[str]:
        # The server runs in the directory, so that neither length nor blanks of its path are in the way.
        socket = self._socket.name if self._socket.parent == self._directory.path else str(self._socket)
        return [
            *("--port", "0", "--unixsocket", socket, "--unixsocketperm", "700"),
            *("--dir", ".", "--daemonize", "no", "--databases", "1"),
            *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
            *("--aof-use-rdb-preamble", "yes", "--auto-aof-rewrite-percentage", "100"),
            *("--auto-aof-rewrite-min-size", "256mb"),
            *("--maxmemory", str(self._max_memory_bytes), "--maxmemory-policy", "noeviction"),
        ]

    async def _lock_server(self) -> int:
        """Be sure that no other server works in the directory, if need be by ending the one of an earlier run."""
        deadline = time.monotonic() + _ORPHAN_TIMEOUT_S
        asked = False
        while (lock := self._directory.try_lock_server()) is None:
            if time.monotonic() > deadline:
                raise StoreRefused(
                    f"a server of an earlier run still works in {self._directory.path} and does not end; find it with "
                    f"`fuser {self._directory.path / 'server.lock'}` and end it"
                )
            if not asked:
                log.warning("embedded_store_orphan", data_dir=str(self._directory.path))
                asked = await _ask(self._socket, b"SHUTDOWN NOSAVE\r\n") is not None
            await asyncio.sleep(_POLL_S)
        return lock

    async def _until_it_answers(self, server: ServerProcess) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while (answer := await _ask(self._socket, b"PING\r\n")) != b"+PONG\r\n":
            if answer:  # such as "-LOADING": it is on its way
                deadline = time.monotonic() + _START_TIMEOUT_S
            if server.ended or time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"the embedded server did not start; the end of its log {self._directory.log}:\n"
                    f"{self._directory.log_tail()}",
                    outcome_unknown=False,
                )
            await asyncio.sleep(_POLL_S)


async def _ask(socket: Path, command: bytes) -> bytes | None:
    """One line of answer to one command; empty where the connection was closed; `None` where nobody listens."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(command)
                return await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None


__all__ = ["EmbeddedStore"]
