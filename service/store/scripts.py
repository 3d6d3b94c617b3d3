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


def _load(*names: str) -> Script:
    here = files(__package__)
    text = "".join(here.joinpath(f"{name}.lua").read_text("utf-8") for name in names)
    return Script(text=text, sha=hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


ACQUIRE = _load("acquire")
CREATE = _load("fence", "create")
DELETE = _load("fence", "delete")
APPEND = _load("fence", "append")
SNAPSHOT = _load("fence", "snapshot")

__all__ = ["ACQUIRE", "APPEND", "CREATE", "DELETE", "SNAPSHOT", "Script"]
