"""`ncps`, as far as programs written for it use it, on top of ours; test_ncps_own_tests.py imports it by that name.

Upstream's wirings change when a model builds them, and its tests then ask them for their synapse counts. Ours never
change; those here remember what they built last.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import liquid_core
from liquid_core import BuiltWiring, Wiring


def _remembering(kind: type[Wiring]) -> type[Wiring]:
    def build(self: Wiring, input_size: int) -> BuiltWiring:
        built = kind.build(self, input_size)
        self.__dict__["_last"] = built
        return built

    def synapse_count(self: Any) -> int:
        return int(self._last.synapse_count)

    def sensory_synapse_count(self: Any) -> int:
        return int(self._last.sensory_synapse_count)

    body = {
        "build": build,
        "synapse_count": property(synapse_count),
        "sensory_synapse_count": property(sensory_synapse_count),
    }
    return type(kind.__name__, (kind,), body)


def modules() -> dict[str, ModuleType]:
    """The modules to put into `sys.modules`."""
    package, torch, wirings = (ModuleType(name) for name in ("ncps", "ncps.torch", "ncps.wirings"))
    for name in ("LTC", "CfC", "LTCCell", "CfCCell", "WiredCfCCell"):
        setattr(torch, name, getattr(liquid_core, name))
    for name in ("FullyConnected", "Random", "NCP", "AutoNCP"):
        setattr(wirings, name, _remembering(getattr(liquid_core, name)))
    package.__path__ = []
    package.torch, package.wirings = torch, wirings  # type: ignore[attr-defined]
    return {module.__name__: module for module in (package, torch, wirings)}
