"""A server as our child: started where it cannot outlive us, and waited for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Self

_LAUNCH = Path(__file__).with_name("launch.py")


class ServerProcess:
    """A running server; made by `start`.

    One thread starts the process and waits for its end, because on Linux the kernel ends the child with the *thread*
    that started it: this one lives exactly as long as the server, or as our process.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[subprocess.Popen[bytes]] = self._loop.create_future()
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    async def start(
        cls, command: Sequence[str], *, folder: Path, log: IO[bytes], lock: int, use_pipe: bool | None = None
    ) -> Self:
        """Start a server.

        Parameters
        ----------
        command
            Absolute path of the program, and its arguments.
        folder
            Where it runs.
        log
            Takes what it prints.
        lock
            A file descriptor that the server shall hold open as long as it runs.
        use_pipe
            How it learns that we ended: through a pipe, or (Linux) from the kernel. `None`: the best there is.
        """
        self = cls()
        if use_pipe is None:
            use_pipe = sys.platform != "linux"
        arguments = (list(command), folder, log, lock, use_pipe)
        threading.Thread(target=self._run, args=arguments, name="embedded-store", daemon=True).start()
        try:
            self._process = await asyncio.shield(self._started)
        except asyncio.CancelledError:
            # The thread goes on; nobody else will know of its child.
            self._started.add_done_callback(_kill)
            raise
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def wait(self) -> int:
        """The exit status, negative for a signal; returns when the server has ended."""
        return await asyncio.shield(self._exited)

    @property
    def ended(self) -> bool:
        return self._exited.done()

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """Ask the server to end, and make it if it does not."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await self.wait()
        except TimeoutError:
            # What was acknowledged is on the disk, or with the kernel: this loses nothing.
            self._signal(signal.SIGKILL)
            await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and not self.ended:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _run(self, command: list[str], folder: Path, log: IO[bytes], lock: int, use_pipe: bool) -> None:
        ours, theirs = (-1, -1)
        try:
            if use_pipe:
                theirs, ours = os.pipe()
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(theirs), *command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(lock, theirs) if use_pipe else (lock,),
                # A Ctrl-C in the terminal is for us alone: we need the server until we have drained.
                start_new_session=True,
                umask=0o077,
                env={**os.environ, "LC_ALL": "C"},
            )
        except BaseException as error:
            self._tell(self._started.set_exception, error)
        else:
            self._tell(self._started.set_result, process)
            status = process.wait()
            self._tell(self._exited.set_result, status)
        finally:
            for descriptor in (ours, theirs):
                if descriptor >= 0:
                    os.close(descriptor)

    def _tell(self, settle: Callable[[Any], object], value: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is waiting any more
            self._loop.call_soon_threadsafe(settle, value)


def _kill(started: asyncio.Future[subprocess.Popen[bytes]]) -> None:
    if not started.cancelled() and started.exception() is None:
        started.result().kill()


__all__ = ["ServerProcess"]
