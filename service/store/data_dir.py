"""The embedded store's directory: who may use it, where its socket is, what its server logged."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from pathlib import Path
from typing import IO

from service.store.errors import StoreRefused

#: A socket's path may have 103 bytes on macOS and 107 on Linux; a few are left for what tools append.
MAX_SOCKET_PATH = 100
_MAX_LOG_BYTES = 10 * 2**20


class DataDir:
    """A directory that one service at a time may use; `hold` makes it if it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.log = self.path / "store.log"
        self._held: int | None = None

    def hold(self) -> None:
        """Take the directory for this process; the kernel gives it back when the process ends, in whatever way.

        Raises
        ------
        StoreRefused
            Another one has it, which the message names, or it cannot be made or written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreRefused(f"the data directory {self.path} cannot be made ({error}); name another one") from error
        descriptor = self._open("service.lock")
        if not _try_lock(descriptor):
            holder = os.pread(descriptor, 64, 0).decode("ascii", "replace").strip() or "another process"
            os.close(descriptor)
            raise StoreRefused(
                f"the data directory {self.path} is in use by {holder}; stop that one, or name another directory with "
                "--data-dir"
            )
        _write(descriptor, f"process {os.getpid()}\n")
        self._held = descriptor

    def release(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def try_lock_server(self) -> int | None:
        """A descriptor to be handed to a server, which holds the lock by it as long as it runs.

        `None` while another server, or a child that it left behind, is still alive in this directory.
        """
        descriptor = self._open("server.lock")
        if _try_lock(descriptor):
            return descriptor
        os.close(descriptor)
        return None

    def socket(self) -> Path:
        """Path of the server's socket, in a directory that is ours alone.

        A directory with a long name gets its socket elsewhere: `$XDG_RUNTIME_DIR` or `/tmp`, by a name that only
        depends on the directory and the user.
        """
        inside = self.path / "store.sock"
        if len(os.fsencode(inside)) <= MAX_SOCKET_PATH:
            return inside
        name = hashlib.blake2b(os.fsencode(self.path.resolve()), digest_size=6).hexdigest()
        for parent in filter(None, (os.environ.get("XDG_RUNTIME_DIR"), "/tmp")):
            folder = Path(parent) / f"liquidstream-{os.getuid()}-{name}"
            socket = folder / "store.sock"
            if Path(parent).is_dir() and len(os.fsencode(socket)) <= MAX_SOCKET_PATH:
                _private(folder)
                return socket
        raise StoreRefused(f"no place for a socket: {self.path} and $XDG_RUNTIME_DIR are too long; shorten one of them")

    def open_log(self) -> IO[bytes]:
        """The server's log, to append to; a large one is put aside first."""
        if self.log.exists() and self.log.stat().st_size > _MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")

    def log_tail(self, lines: int = 8) -> str:
        """The end of the server's log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 4096))
                return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""

    def _open(self, name: str) -> int:
        try:
            return os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreRefused(
                f"the data directory {self.path} cannot be written ({error}); change its rights or name another one"
            ) from error


def _private(folder: Path) -> None:
    """Make a directory in a public place, and be sure that it is ours: somebody else may have made it first."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise StoreRefused(f"{folder} is not a directory that only this user can read; remove it")


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


__all__ = ["MAX_SOCKET_PATH", "DataDir"]
