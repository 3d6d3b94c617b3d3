"""Names of a package that are imported when they are first asked for: torch takes seconds, and not everybody needs it.

A package's ``__init__`` imports such names for type checkers only, and says here where they are (PEP 562)::

    if TYPE_CHECKING:
        from liquid_core.rnn import CfC

    __getattr__, __dir__ = lazily(__name__, {"liquid_core.rnn": ("CfC",)})
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, homes: Mapping[str, tuple[str, ...]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__`.

    Parameters
    ----------
    homes
        By module: the names that the package offers from there.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home_of[name]), name)
        setattr(sys.modules[package], name, value)  # asked for again, it is there
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of})

    return get, names


__all__ = ["lazily"]
