"""The mix: an answer is a convex combination of experts, whose shares follow from how each has fared.

Polynomially weighted averages with one learning rate an expert, ML-Poly (Gaillard, Stoltz and van Erven 2014, section
3; Gaillard 2015, Algorithm 2.1), on the gradient of the loss: no parameter to tune, and a regret against the best fixed
*combination* of experts that grows with the square root of its squared losses only. So the stream is in the long run
as good as the naive guess wherever that cannot be beaten, as on a random walk.

Which expert is good changes with the stream, some by the season and some by the hour. So regrets are kept twice, in a
long memory and in a short one, and the answer is a mix of what both would say, made in the same way.

That answer is much like a mean: squared errors are least there. Absolute ones are least at the median (Gneiting 2011),
and on a stream that mostly stands still no number is both. So values get a second one, made in the same way from the
same experts by their regrets in absolute loss: the median.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_core.learner.part import ArraySpec, safe_divide
from liquid_core.types import BoolArray, FloatArray, IntArray

#: Experts besides the naive guess, which always says zero: seasonal naive, autoregression of each target on its own
#: past, linear map of all that is shown, and the liquid network on top of that.
EXPERTS = ("season", "autoregression", "linear", "liquid")
#: What a target leaves of the regrets before it: the long memory is of about five thousand targets, the short of fifty.
FADES = (0.9998, 0.98)
MEMORIES = len(FADES)
#: Of what `combine` gives: where the median stands, behind the answer and what each memory would say.
MEDIAN = 1 + MEMORIES
#: An error of the mix, in residual scales, teaches no more than this.
MAX_ERROR = 3.0
#: The loss is the squared error and, for values, a little of the absolute one, whose slope is full from an error of
#: `NEAR` on: where a stream mostly stands still, the squares of its few moves are not all that counts.
ABSOLUTE = 0.2
NEAR = 0.03
#: Regret that the naive guess, or the long memory, is given for nothing: where no expert has anything to say, noise
#: must not elect one. It is more for each further sample that an answer looks ahead: errors that overlap err together.
HEAD_START = 3.0
HEAD_START_AHEAD = 0.5
#: Smallest sum of squared regrets, so that the first one does not decide alone; more for each further sample.
FLOOR = 1.0
FLOOR_AHEAD = 0.1


@dataclass(frozen=True, slots=True)
class Mix:
    """Regrets and their squares by row, the naive guess first, `(batch, rows, 1 + experts, outputs)`.

    A row is one memory's of one loss: those of the answer, then, of values only, those of the median. `share`
    `(batch, rows, experts, outputs)` are the shares of the experts; the naive guess has the rest. The `trust`
    `(batch, losses, outputs)` is the share of the short memory, from the regrets of both,
    `(batch, losses, memories, outputs)`.
    """

    regret: FloatArray
    square: FloatArray
    share: FloatArray
    trust_regret: FloatArray
    trust_square: FloatArray
    trust: FloatArray

    @staticmethod
    def arrays(num_outputs: int, *, values: bool) -> dict[str, ArraySpec]:
        """Of outputs that are `values`, or probabilities."""
        losses = num_losses(values=values)
        rows = losses * MEMORIES
        return {
            "regret": ArraySpec(np.float64, (rows, 1 + len(EXPERTS), num_outputs)),
            "square": ArraySpec(np.float64, (rows, 1 + len(EXPERTS), num_outputs)),
            "share": ArraySpec(np.float64, (rows, len(EXPERTS), num_outputs)),
            "trust_regret": ArraySpec(np.float64, (losses, MEMORIES, num_outputs)),
            "trust_square": ArraySpec(np.float64, (losses, MEMORIES, num_outputs)),
            "trust": ArraySpec(np.float64, (losses, num_outputs)),
        }

    def update(
        self, target: FloatArray, said: FloatArray, mixed: FloatArray, observed: BoolArray, ahead: IntArray
    ) -> Mix:
        """Take in targets that arrived.

        Parameters
        ----------
        target, observed
            In residual scales, `(batch, outputs)`, and where there is one.
        said
            What the experts said, `(batch, experts, outputs)`.
        mixed
            What `combine` made of it then, `(batch, losses * (1 + memories), outputs)`.
        ahead
            How many samples each output looks ahead, `(outputs,)`; one where labels come from outside.
        """
        by_loss = mixed.reshape(len(mixed), -1, 1 + MEMORIES, mixed.shape[2])
        error = by_loss - target[:, None, None]
        slope = np.clip(error, -MAX_ERROR, MAX_ERROR)
        if by_loss.shape[1] == num_losses(values=True):
            absolute = np.clip(error / NEAR, -1.0, 1.0)
            slope = np.stack([slope[:, 0] + ABSOLUTE * absolute[:, 0], absolute[:, 1]], axis=1)
        head_start, floor = HEAD_START + HEAD_START_AHEAD * (ahead - 1), FLOOR + FLOOR_AHEAD * (ahead - 1)

        everyone = np.concatenate([np.zeros_like(said[:, :1]), said], axis=1)[:, None, None]
        instant = slope[:, :, 1:, None] * (by_loss[:, :, 1:, None] - everyone)
        seen, fades = observed[:, None, None], np.tile(FADES, by_loss.shape[1])[:, None, None]
        regret, square = _faded(self.regret, self.square, instant.reshape(self.regret.shape), seen, fades)
        share, decided = _shares(regret, square, head_start, floor)
        share = np.where(seen & decided[:, :, None], share, self.share)

        instant = slope[:, :, :1] * (by_loss[:, :, :1] - by_loss[:, :, 1:])
        trust_regret, trust_square = _faded(self.trust_regret, self.trust_square, instant, seen, np.asarray(FADES[0]))
        trust, decided = _shares(trust_regret, trust_square, head_start, floor)
        trust = np.where(observed[:, None] & decided, trust[:, :, 0], self.trust)
        return Mix(regret, square, share, trust_regret, trust_square, trust)

    def combine(self, said: FloatArray) -> FloatArray:
        """The answer in residual scales and what it would be by each memory alone, and so the median of values,
        `(batch, losses * (1 + memories), outputs)`, from what the experts say, `(batch, experts, outputs)`."""
        by_row = self.share[:, :, 0] * said[:, None, 0]
        for expert in range(1, said.shape[1]):
            by_row = by_row + self.share[:, :, expert] * said[:, None, expert]
        by_loss = by_row.reshape(len(by_row), -1, MEMORIES, by_row.shape[2])
        answer = by_loss[:, :, 0] + self.trust * (by_loss[:, :, 1] - by_loss[:, :, 0])
        return np.concatenate([answer[:, :, None], by_loss], axis=2).reshape(len(by_row), -1, by_row.shape[2])


def num_losses(*, values: bool) -> int:
    """Of the answer, and of `values` of the median."""
    return 1 + values


def shares_in_answer(share: FloatArray, trust: FloatArray) -> FloatArray:
    """The experts' shares in the answer, `(..., experts, outputs)`, from a mix's `share` and `trust`."""
    by_row = np.moveaxis(share, -3, 0)
    return np.asarray(by_row[0] + trust[..., :1, :] * (by_row[1] - by_row[0]))


def _faded(
    regret: FloatArray, square: FloatArray, instant: FloatArray, seen: BoolArray, fade: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Regrets and their squares with what has just been regretted, where it was `seen`."""
    return (
        np.where(seen, fade * regret + instant, regret),
        np.where(seen, fade * square + instant * instant, square),
    )


def _shares(
    regret: FloatArray, square: FloatArray, head_start: FloatArray, floor: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """Shares of all but the first, `(..., others, outputs)`, and for which outputs anyone has one, `(..., outputs)`."""
    ahead = np.concatenate([regret[..., :1, :] + head_start, regret[..., 1:, :]], axis=-2)
    weight = np.maximum(ahead, 0.0) / (floor + square)
    total = weight[..., 0, :]
    for other in range(1, weight.shape[-2]):
        total = total + weight[..., other, :]
    return safe_divide(weight, total[..., None, :])[..., 1:, :], total > 0


__all__ = ["EXPERTS", "MEDIAN", "MEMORIES", "Mix", "num_losses", "shares_in_answer"]
