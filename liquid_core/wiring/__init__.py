"""Who synapses onto whom: signed graphs of neurons, drawn from a seed and bit-equal to those of `ncps`.

A good wiring is a value: it never changes, two models may share it, and the same numbers always draw the same graph.
"""

from __future__ import annotations

from liquid_core.wiring.auto_ncp import AutoNCP
from liquid_core.wiring.base import BuiltWiring, Wiring
from liquid_core.wiring.from_spec import from_spec
from liquid_core.wiring.fully_connected import FullyConnected
from liquid_core.wiring.ncp import NCP
from liquid_core.wiring.random import Random

__all__ = ["NCP", "AutoNCP", "BuiltWiring", "FullyConnected", "Random", "Wiring", "from_spec"]
