"""deep-river: torch modules behind river's verbs, one estimator for every stream.

Its learner for sequences, `RollingRegressor`, is given the same module of `ncps` as the eager peer. It keeps no hidden
state: it runs the whole window from zeros to predict, and once more to learn.

deep-river 0.3.4 asks for torch < 2.6 and river < 0.26, and so does not install beside this project's pinned versions.
In an environment of its own, with river 0.25, it also runs on the newer torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.contender import MissingPeerError
from benchmarks.models import CLIP_NORM, LEARNING_RATE, NUM_INPUTS, WINDOW, Model
from benchmarks.peers.batches import random_batch

NAMES = tuple(f"x{index}" for index in range(NUM_INPUTS))

#: For each stream its features by name, and the target that they have.
NamedBatch = list[tuple[dict[str, float], float]]


class LastOutput(nn.Module):
    """Windows `(time, 1, inputs)` to the last output `(1, 1)` of a recurrent network.

    It shows no layers of its own: deep-river would take the first one that has weights for the one that sees the
    features alone, and would pad the features to its width.
    """

    def __init__(self, rnn: nn.Module) -> None:
        super().__init__()
        self.rnn = rnn
        self.input_size = NUM_INPUTS

    def children(self) -> Iterator[nn.Module]:
        return iter(())

    def forward(self, window: Tensor) -> Tensor:
        outputs: Tensor = self.rnn(window)[0]
        return outputs[-1]


class DeepRiverStreams:
    """Many streams, each with an estimator of its own.

    Raises
    ------
    MissingPeerError
        deep-river or `ncps` is not installed.
    """

    def __init__(self, model: Model, streams: int) -> None:
        try:
            from deep_river.regression import RollingRegressor

            modules = [nn.Sequential(LastOutput(model.ncps_rnn(batch_first=False))) for _ in range(streams)]
        except ImportError as error:
            raise MissingPeerError(
                f"deep-river cannot be imported: {error}. It conflicts with the pinned torch and river; "
                "in an environment of its own: `pip install --no-deps deep-river==0.3.4 river==0.25.0`, "
                "`pip install 'pandas<3' pytest`"
            ) from error
        self._estimators: list[Any] = [
            RollingRegressor(
                module=module,
                loss_fn="huber",
                optimizer_fn="adam",
                lr=LEARNING_RATE,
                window_size=WINDOW,
                gradient_clip_value=CLIP_NORM,
            )
            for module in modules
        ]
        self._generator = torch.Generator().manual_seed(1)
        self.samples_per_batch = streams
        parameters = list(modules[0].parameters())
        self.num_params = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        stored = sum(parameter.numel() for parameter in parameters) + 2 * self.num_params
        self.bytes_per_stream = 4 * (stored + WINDOW * NUM_INPUTS)
        for batch in self.batches(WINDOW):
            self.step(batch)

    def batches(self, count: int) -> Sequence[NamedBatch]:
        drawn = [random_batch(self.samples_per_batch, self._generator) for _ in range(count)]
        return [
            [
                (dict(zip(NAMES, values, strict=True)), target)
                for values, target in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True)
            ]
            for batch in drawn
        ]

    def step(self, batch: NamedBatch) -> None:
        for estimator, (features, target) in zip(self._estimators, batch, strict=True):
            estimator.predict_one(features)
            estimator.learn_one(features, target)


__all__ = ["DeepRiverStreams", "LastOutput"]
