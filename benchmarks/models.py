"""The models that engines are compared on, as a spec of ours and as the module that anyone else would write.

All of them see nine inputs and answer one number. Nine, because a stream of ours shows each of its three features to
the cell in three ways (level, change, missing); the peers get the same nine, ready made.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import torch
from torch import nn

import liquid_core
from liquid_core import ModelSpec
from liquid_core.spec import AutoNCPSpec, CellSpec, CfCSpec, LearnerSpec, LTCSpec, WiredCfCSpec

FEATURES = ("a", "b", "c")
#: What the cell sees of a sample.
NUM_INPUTS = 3 * len(FEATURES)
#: Samples that an update unrolls.
WINDOW = 16
LEARNING_RATE = 1e-3
CLIP_NORM = 1.0
#: Errors beyond this pull with constant force; ours has the same.
HUBER_DELTA = 3.0


@dataclass(frozen=True, slots=True)
class Model:
    """One model."""

    name: str
    title: str
    kind: Literal["cfc", "wired_cfc", "ltc"]
    #: Neurons: values in a hidden state.
    units: int
    #: Units of the backbone's one layer; 0 for a wired cell, which has none.
    backbone_units: int = 0

    def spec(self) -> ModelSpec:
        """Ours: a forecast of the first feature, one sample ahead, so that every sample teaches once."""
        cells: dict[str, CellSpec] = {
            "cfc": CfCSpec(units=self.units, backbone_units=max(1, self.backbone_units)),
            "wired_cfc": WiredCfCSpec(),
            "ltc": LTCSpec(),
        }
        return ModelSpec(
            task="forecast",
            features=FEATURES,
            targets=FEATURES[:1],
            horizon=1,
            cell=cells[self.kind],
            wiring=None if self.kind == "cfc" else AutoNCPSpec(units=self.units, outputs=1),
            learner=LearnerSpec(window=WINDOW, learning_rate=LEARNING_RATE, clip_norm=CLIP_NORM, warmup=4),
        )

    def rnn(self, **layout: bool) -> nn.Module:
        """The network over sequences, from `liquid_core`; its output is one number a step."""
        return self._build(liquid_core, liquid_core, layout)

    def ncps_rnn(self, **layout: bool) -> nn.Module:
        """The same from `ncps`, its parameters under the same names.

        Raises
        ------
        ImportError
            It is not installed.
        """
        import ncps.torch
        import ncps.wirings

        return self._build(ncps.torch, ncps.wirings, layout)

    def _build(self, classes: ModuleType, wirings: ModuleType, layout: dict[str, bool]) -> nn.Module:
        rnn: Any
        if self.kind == "cfc":
            # A dense cell answers with all its units; a linear layer makes one number of them.
            rnn = classes.CfC(NUM_INPUTS, self.units, proj_size=1, backbone_units=self.backbone_units, **layout)
        else:
            network = classes.CfC if self.kind == "wired_cfc" else classes.LTC
            rnn = network(NUM_INPUTS, wirings.AutoNCP(self.units, 1), **layout)
        assert isinstance(rnn, nn.Module)
        return rnn


MODELS = {
    model.name: model
    for model in (
        Model("M1", "CfC, 32 units, backbone 64x1", "cfc", 32, backbone_units=64),
        Model("M2", "wired CfC on AutoNCP(32, 1)", "wired_cfc", 32),
        Model("M3", "LTC on AutoNCP(32, 1), 6 unfolds", "ltc", 32),
        Model("M3s", "LTC on AutoNCP(19, 1), 6 unfolds", "ltc", 19),
    )
}


def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Huber loss, summed; `output` and `target` of one shape."""
    return nn.functional.huber_loss(output, target, reduction="sum", delta=HUBER_DELTA)


__all__ = ["CLIP_NORM", "FEATURES", "LEARNING_RATE", "MODELS", "NUM_INPUTS", "WINDOW", "Model", "loss"]
