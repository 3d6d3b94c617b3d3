"""The mix: an answer is a convex combination of experts, whose shares follow from how each has fared.

Polynomially weighted averages with one learning rate an expert, ML-Poly (Gaillard, Stoltz and van Erven 2014, section
3; Gaillard 2015, Algorithm 2.1), on the gradient of the squared error: no parameter to tune, and a regret against the
best fixed *combination* of experts that grows with the square root of its squared losses only. So the stream is in the
long run as good as the naive guess wherever that cannot be beaten, as on a random walk. Old regrets fade slowly: which
expert is good changes with the stream.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec, safe_divide
from liquid_core.types import BoolArray, FloatArray

#: Experts besides the naive guess, which always says zero: seasonal naive, autoregression of each target on its own
#: past, linear map of all that is shown, and the liquid network on top of that.
EXPERTS = ("season", "autoregression", "linear", "liquid")
#: What a target leaves of the regrets before it: they fade over about five thousand targets.
FADE = 0.9998
#: An error of the mix, in residual scales, teaches no more than this.
MAX_ERROR = 3.0
#: Regret that the naive guess is given for nothing: where no expert has anything to say, noise must not elect one.
HEAD_START = 3.0
#: Smallest sum of squared regrets, so that the first one does not decide alone.
FLOOR = 1.0


@dataclass(frozen=True, slots=True)
class Mix:
    """Regrets and their squares, the naive guess first, `(batch, 1 + experts, outputs)`.

    `share` `(batch, experts, outputs)` are the shares of the experts; the naive guess has the rest.
    """

    regret: FloatArray
    square: FloatArray
    share: FloatArray

    @staticmethod
    def arrays(num_outputs: int) -> dict[str, ArraySpec]:
        return {
            "regret": ArraySpec(np.float64, (1 + len(EXPERTS), num_outputs)),
            "square": ArraySpec(np.float64, (1 + len(EXPERTS), num_outputs)),
            "share": ArraySpec(np.float64, (len(EXPERTS), num_outputs)),
        }

    def update(self, target: FloatArray, said: FloatArray, mixed: FloatArray, observed: BoolArray) -> Mix:
        """Take in targets that arrived.

        Parameters
        ----------
        target, observed
            In residual scales, `(batch, outputs)`, and where there is one.
        said
            What the experts said, `(batch, experts, outputs)`.
        mixed
            What was answered, in residual scales, `(batch, outputs)`.
        """
        slope = np.clip(mixed - target, -MAX_ERROR, MAX_ERROR)[:, None]
        everyone = np.concatenate([np.zeros_like(said[:, :1]), said], axis=1)
        instant = slope * (mixed[:, None] - everyone)
        seen = observed[:, None]
        regret = np.where(seen, FADE * self.regret + instant, self.regret)
        square = np.where(seen, FADE * self.square + instant * instant, self.square)
        ahead = np.concatenate([regret[:, :1] + HEAD_START, regret[:, 1:]], axis=1)
        weight = np.maximum(ahead, 0.0) / (FLOOR + square)
        total = weight[:, 0]
        for expert in range(1, weight.shape[1]):
            total = total + weight[:, expert]
        share = np.where(seen & (total > 0)[:, None], safe_divide(weight, total[:, None])[:, 1:], self.share)
        return Mix(regret=regret, square=square, share=share)

    def combine(self, said: FloatArray) -> FloatArray:
        """The answer in residual scales, `(batch, outputs)`, from what the experts say `(batch, experts, outputs)`."""
        mixed = self.share[:, 0] * said[:, 0]
        for expert in range(1, said.shape[1]):
            mixed = mixed + self.share[:, expert] * said[:, expert]
        return mixed


__all__ = ["EXPERTS", "Mix"]
