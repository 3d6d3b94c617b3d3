"""`ncps` as its users run it: a module and an optimiser for every stream, one stream after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmarks.contender import MissingPeerError
from benchmarks.models import CLIP_NORM, LEARNING_RATE, WINDOW, Model, loss
from benchmarks.peers.batches import PeerBatch, random_batch


class EagerStream:
    """One stream: predicts with a recurrent module and teaches it.

    Parameters
    ----------
    rnn
        Called as ``rnn(inputs (1, time, inputs), hx (1, state))``, it returns outputs ``(1, time, 1)`` and the state.
    state_size
        Values in a hidden state.
    """

    def __init__(self, rnn: nn.Module, state_size: int) -> None:
        self.rnn = rnn
        self.state_size = state_size
        self.optimizer = torch.optim.Adam(
            [parameter for parameter in rnn.parameters() if parameter.requires_grad], lr=LEARNING_RATE
        )
        dtype = next(rnn.parameters()).dtype
        self._hx = torch.zeros(1, state_size, dtype=dtype)
        self._inputs: deque[Tensor] = deque(maxlen=WINDOW)
        #: Hidden states before each of them.
        self._states: deque[Tensor] = deque(maxlen=WINDOW)

    def predict(self, inputs: Tensor) -> float:
        """Move over a sample `(1, inputs)` and answer it."""
        self._inputs.append(inputs)
        self._states.append(self._hx)
        with torch.no_grad():
            outputs, self._hx = self.rnn(inputs.unsqueeze(1), self._hx)
        return float(outputs[0, -1, 0])

    def gradient(self, target: Tensor) -> float:
        """Loss of the window's last output, its gradient left in the parameters; `target` has no axes."""
        outputs, _ = self.rnn(torch.stack(tuple(self._inputs), dim=1), self._states[0])
        error = loss(outputs[0, -1, 0], target)
        self.optimizer.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        return float(error.detach())

    def learn(self, target: Tensor) -> None:
        """One update from what the window's last output should have been; `target` has no axes."""
        self.gradient(target)
        nn.utils.clip_grad_norm_(self.rnn.parameters(), CLIP_NORM)
        self.optimizer.step()

    @property
    def num_bytes(self) -> int:
        """Parameters, masks among them, Adam's moments, hidden states and the window."""
        learned = sum(parameter.numel() for parameter in self.rnn.parameters() if parameter.requires_grad)
        stored = sum(parameter.numel() for parameter in self.rnn.parameters()) + 2 * learned
        kept = self._hx.numel() + sum(tensor.numel() for tensor in (*self._inputs, *self._states))
        return 4 * (stored + kept)


class NcpsStreams:
    """Many such streams.

    Raises
    ------
    MissingPeerError
        `ncps` is not installed.
    """

    def __init__(self, model: Model, streams: int) -> None:
        torch.manual_seed(0)
        try:
            self._streams = [EagerStream(model.ncps_rnn(), model.units) for _ in range(streams)]
        except ImportError as error:
            raise MissingPeerError(f"ncps is not installed: {error}. `pip install ncps`") from error
        self._generator = torch.Generator().manual_seed(1)
        self.samples_per_batch = streams
        for batch in self.batches(WINDOW):
            for stream, inputs in zip(self._streams, torch.split(batch.inputs, 1), strict=True):
                stream.predict(inputs)
        first = self._streams[0]
        self.bytes_per_stream = first.num_bytes
        self.num_params = sum(value.numel() for value in first.rnn.parameters() if value.requires_grad)

    def batches(self, count: int) -> Sequence[PeerBatch]:
        return [random_batch(self.samples_per_batch, self._generator) for _ in range(count)]

    def step(self, batch: PeerBatch) -> None:
        samples = zip(self._streams, torch.split(batch.inputs, 1), batch.targets.unbind(), strict=True)
        for stream, inputs, target in samples:
            stream.learn(target)
            stream.predict(inputs)


__all__ = ["EagerStream", "NcpsStreams"]
