"""Memory: how an amount of it is written, and how much of it this process may expect to have."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?", re.IGNORECASE)

#: The least that streams can be given: one of the largest kind that a spec allows takes a good part of it.
MIN_BYTES = 64 * 10**6
#: Of the memory that there is, the part that streams may take. An embedded store is on the same machine and keeps up to
#: two snapshots of each stream in its own memory, so with one it is half as much.
SHARE, SHARE_BESIDE_STORE = 0.5, 0.25


def parse_size(text: str) -> int:
    """Bytes of an amount such as ``512MB``, ``1.5 GB``, ``2GiB`` or ``800000000``.

    Raises
    ------
    ValueError
        It is written otherwise.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be a number of bytes, or one with a unit such as 512MB, 2GB or 2GiB.")
    number, unit = found.groups()
    return int(float(number) * _UNITS[(unit or "").upper()])


def default_bytes(*, store_is_embedded: bool) -> int:
    """What streams may take where nobody has said it: a share of what this process may use."""
    share = SHARE_BESIDE_STORE if store_is_embedded else SHARE
    return max(MIN_BYTES, int(share * available_bytes()))


def available_bytes() -> int:
    """Memory that this process may use: the machine's, or less where its container or service is limited to less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *limits()])


def limits(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """Limits of the control groups that this process is in, those above them included; none but on Linux."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be the host's, whose groups are not to be seen: the topmost one then counts.
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):  # it is not there, or says "max"
                yield int((folder / name).read_text())
            if folder == top:
                break


__all__ = ["MIN_BYTES", "available_bytes", "default_bytes", "limits", "parse_size"]
