"""Names of owners, and whether the one with a name is certainly gone.

A name is ``machine/pid/start/random``. Who meets it in the store's lease and runs on the same machine need not wait for
the lease of a server that crashed: the kernel tells at once. A machine here is a boot of a kernel and a namespace of
process ids in it, because only there a process id means anything.
"""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_NAME = re.compile(r"(?P<machine>[^/]+)/(?P<pid>[1-9]\d{0,9})/(?P<start>\d+)/[^/]+")
_NO_MACHINE = "unknown"


def own_name() -> str:
    """A name for an owner in this process; no other call, here or elsewhere, gives the same one."""
    pid = os.getpid()
    process = _process(pid)
    return f"{_machine()}/{pid}/{process.start if process else 0}/{uuid.uuid4().hex}"


def is_gone(name: str) -> bool:
    """Whether the owner was a process of this machine that has ended; False wherever that is not certain."""
    parts = _NAME.fullmatch(name)
    machine = _machine()
    if parts is None or machine == _NO_MACHINE or parts["machine"] != machine:
        return False
    pid = int(parts["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # somebody else's process: but there is one
    process = _process(pid)
    return process is not None and (process.ended or process.start != int(parts["start"]))


@dataclass(frozen=True, slots=True)
class _Process:
    """What the kernel says of a process."""

    #: When it started, in ticks since the machine did: tells it from a later one that was given the same id.
    start: int
    #: It has ended, and only its parent has not asked how.
    ended: bool


def _machine() -> str:
    try:
        if os.readlink(_PROC / "self") != str(os.getpid()):
            return _NO_MACHINE  # this /proc shows another namespace than the one that we are in
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return _NO_MACHINE
    return f"{boot}-{''.join(filter(str.isdigit, namespace))}"


def _process(pid: int) -> _Process | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    # The name of the program, in parentheses, may hold anything; what follows is numbered from 3 in proc(5).
    state, *numbers = stat.rpartition(")")[2].split()
    threads, start = int(numbers[20 - 4]), int(numbers[22 - 4])
    return _Process(start=start, ended=state in "ZX" and threads <= 1)


__all__ = ["is_gone", "own_name"]
