"""A store's server as a process, to be killed, frozen, filled and emptied."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

from service.child_server import free_port
from service.store.binaries import find_server

_START_S = 30.0


class Store:
    """A server on a port of this machine.

    Parameters
    ----------
    program
        ``valkey`` for the one that comes with the package, ``redis`` for the machine's own.
    options
        Further options; every write is synced unless they say otherwise.
    """

    def __init__(self, directory: Path, program: str = "valkey", options: Sequence[str] = ()) -> None:
        self.directory = directory
        self.port = free_port()
        path = str(find_server().path) if program == "valkey" else shutil.which("redis-server")
        assert path is not None
        self._command = [
            path,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"),
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.client = Redis(port=self.port, socket_timeout=5)

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self.client.close()

    def start(self) -> Self:
        with (self.directory / "store.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self.directory, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        self.wait_until_it_answers()
        return self

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            try:
                self.client.ping()
            except RedisError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError((self.directory / "store.log").read_text(errors="replace")[-2000:])

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, frozen or not."""
        if self._process is not None and not self.ended:
            self._process.kill()
        if self._process is not None:
            self._process.wait()

    def forget_everything(self) -> None:
        """Remove its files; it must have ended."""
        for path in self.directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "store.log":
                path.unlink()

    def key_of(self, kind: str, stream_id: str) -> bytes:
        """Name of the `meta`, `log` or `snap` key of a stream."""
        (key,) = self.client.scan_iter(f"liquid:*:{kind}:{stream_id}", count=1000)
        return bytes(key)


__all__ = ["Store"]
