"""The Lua scripts: each is one indivisible step of the store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text, and the digest by which a server remembers it."""

    text: str
    sha: str
    #: Whether it changes anything, so that a lost answer leaves its outcome unknown.
    writes: bool


def _load(*names: str, writes: bool = True) -> Script:
    here = files(__package__)
    text = "".join(here.joinpath(f"{name}.lua").read_text("utf-8") for name in names)
    return Script(text=text, sha=hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), writes=writes)


LAYOUT = _load("layout")

ACQUIRE = _load("acquire")
RENEW = _load("fence", "renew")
RELEASE = _load("release")

CREATE = _load("fence", "create")
DELETE = _load("fence", "delete")
APPEND = _load("fence", "append")
SNAPSHOT = _load("fence", "snapshot")
MEND = _load("fence", "mend")
PIN = _load("fence", "pin")
UNPIN = _load("fence", "unpin")

READ = _load("primary", "fence", "read", writes=False)
TAILS = _load("primary", "fence", "tails", writes=False)
KEPT = _load("primary", "fence", "kept", writes=False)
PINNED = _load("primary", "fence", "pinned", writes=False)

__all__ = [
    "ACQUIRE",
    "APPEND",
    "CREATE",
    "DELETE",
    "KEPT",
    "LAYOUT",
    "MEND",
    "PIN",
    "PINNED",
    "READ",
    "RELEASE",
    "RENEW",
    "SNAPSHOT",
    "TAILS",
    "UNPIN",
    "Script",
]
