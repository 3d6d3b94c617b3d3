"""A server as a child process, on a free port and a directory of its own; what `liquidstream demo` runs against."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from liquidstream_client import Client, LiquidstreamError
from service.cli_errors import UserError

_START_S = 90.0
_STOP_S = 20.0
_ENGINE_VARIABLES = {"LIQUID_ENGINE", "LIQUID_ENGINE_THREADS", "LIQUID_ISA"}


class ChildServer:
    """``liquidstream serve`` with its own embedded store; stopped and waited for at the end.

    Parameters
    ----------
    directory
        Where the store's data and the server's log go.
    variables
        Further variables for its environment. Those of this process that begin with LIQUID_ are kept from it, as they
        may name a store that is not to be written to; but for those that choose its engine.
    """

    def __init__(self, directory: Path, variables: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("LIQUID_") or name in _ENGINE_VARIABLES
        }
        self.environment |= variables or {}
        self.log = directory / "server.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it and wait until it takes samples.

        Raises
        ------
        UserError
            It ended, or was not ready in time; the message has the end of its log.
        """
        command = [sys.executable, "-m", "service.cli", "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--data-dir", str(self.directory / "data")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=self.environment
            )
        deadline = time.monotonic() + _START_S
        with Client(self.url, timeout_s=5.0) as client:
            while time.monotonic() < deadline:
                if self._process.poll() is not None:
                    raise UserError(f"the server ended with code {self._process.returncode}.\n{self._end_of_log()}")
                try:
                    if client.ready().ready:
                        return self
                except LiquidstreamError:
                    pass  # not listening yet
                time.sleep(0.1)
        raise UserError(f"the server was not ready after {_START_S:.0f} s.\n{self._end_of_log()}")

    @property
    def pid(self) -> int:
        """Process id of the server; 0 before it was started."""
        return 0 if self._process is None else self._process.pid

    def wait(self) -> None:
        """Wait until it ends."""
        if self._process is not None:
            self._process.wait()

    def kill(self) -> None:
        """End it at once, as a crash would; `start` may follow."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Ask it to end, which lets it write its snapshots, and wait."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _end_of_log(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-20:])


def free_port() -> int:
    """A port of this machine on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


__all__ = ["ChildServer", "free_port"]
