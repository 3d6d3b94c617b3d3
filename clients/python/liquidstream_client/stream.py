"""`Stream`: one stream of a `Client`, which counts `seq` by itself."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from liquidstream_client import calls
from liquidstream_client.errors import LiquidstreamError, ProblemError
from liquidstream_client.numbering import Batch, Numbering
from liquidstream_client.types import LabelResult, PredictResult, SampleResult, Snapshot, StreamInfo
from liquidstream_client.values import LabelValue, Sample, Time, Values, sample_json

if TYPE_CHECKING:
    from liquidstream_client.client import Client


class Stream:
    """One stream, one writer: it numbers the samples, resumes where the server stands and repeats safely.

    A repeated sample that had already been applied comes back with ``duplicate=True`` and the prediction that was
    made the first time; the stream learns it once.
    """

    def __init__(self, client: Client, stream_id: str, last_seq: int | None = None) -> None:
        self.client = client
        self.id = stream_id
        self._numbering = Numbering(last_seq)

    def __repr__(self) -> str:
        return f"Stream({self.id!r}, last_seq={self._numbering.last_seq})"

    @property
    def last_seq(self) -> int | None:
        """`seq` of the last sample that the server is known to have; `None` before it was asked (`resume`)."""
        return self._numbering.last_seq

    def resume(self) -> StreamInfo:
        """Ask the server where the stream stands and count on from there."""
        info = self.info()
        self._numbering.resume(info.last_seq)
        return info

    def send(self, *, t: Time, x: Values, y: LabelValue | None = None) -> SampleResult:
        """One sample in, its predictions out.

        When `ConnectionFailed` comes out, nobody knows whether the sample arrived: send the same one again, now or
        after an hour, and it is applied once.
        """
        sample = sample_json({"t": t, "x": x, "y": y})
        seq = self._numbering.number(sample)
        if seq is None:
            seq = self.resume().last_seq + 1
        try:
            answer = self.client.call(calls.send(self.id, {**sample, "seq": seq}))
        except LiquidstreamError as error:
            self._numbering.failed(seq, sample, error)
            raise
        self._numbering.applied(answer.seq)
        return answer

    def send_many(self, samples: Iterable[Mapping[str, Any] | Sample]) -> list[SampleResult | ProblemError]:
        """Samples in order, in requests of a few hundred.

        Returns one answer a sample; in place of a refused one's stands its `ProblemError`, and the others go on.
        When `ConnectionFailed` comes out, `last_seq` says how far it went.
        """
        bodies = [sample_json(sample) for sample in samples]
        if not bodies:
            return []
        first_seq = self._numbering.number(bodies[0]) or self.resume().last_seq + 1
        batch, backoff = Batch(bodies, first_seq), self.client.retry.start()
        while part := batch.numbered():
            self._numbering.last_seq = None  # unknown, until the answer is here
            answers = self.client.call(calls.send_many(self.id, part))
            wait_for = batch.take(answers)
            if wait_for is None:
                self._numbering.resume(batch.last_seq)
                backoff = self.client.retry.start()
                continue
            delay = backoff.next_delay(wait_for.retry_after_s)
            if delay is None:
                raise wait_for
            time.sleep(delay)
        return batch.results

    def label(self, seq: int, y: LabelValue) -> LabelResult:
        """The label of an earlier sample."""
        return self.client.label(self.id, seq, y)

    def label_many(self, labels: Mapping[int, LabelValue]) -> list[LabelResult | ProblemError]:
        """Labels by `seq`, in one request."""
        return self.client.label_many(self.id, labels)

    def predict(self, *, t: Time | None = None, x: Values | None = None) -> PredictResult:
        """What would be answered if this sample came next. Changes nothing."""
        return self.client.predict(self.id, t=t, x=x)

    def info(self) -> StreamInfo:
        """What the stream is and how well it predicts."""
        return self.client.describe(self.id)

    def state(self) -> bytes:
        """Everything that the stream is, as safetensors."""
        return self.client.state(self.id)

    def reset(self, *, if_seq: int | None = None) -> StreamInfo:
        """Let learning begin anew; numbers of samples go on."""
        return self.client.reset(self.id, if_seq=if_seq)

    def freeze(self) -> StreamInfo:
        """Let the stream predict and measure, but not learn."""
        return self.client.freeze(self.id)

    def unfreeze(self) -> StreamInfo:
        """Let it learn again."""
        return self.client.unfreeze(self.id)

    def snapshot(self) -> Snapshot:
        """Keep its state as it is now, to go back to."""
        return self.client.snapshot(self.id)

    def snapshots(self) -> list[Snapshot]:
        """What it can go back to, oldest first."""
        return self.client.snapshots(self.id)

    def rollback(self, to: int, *, if_seq: int | None = None) -> StreamInfo:
        """Go back to the snapshot at position `to`."""
        return self.client.rollback(self.id, to, if_seq=if_seq)

    def fork(self, new_id: str) -> Stream:
        """Make a second stream that begins as this one is now."""
        return self.client.fork(self.id, new_id)

    def change_spec(self, patch: Mapping[str, Any] | None = None, **fields: Any) -> StreamInfo:
        """Merge a patch into its spec."""
        return self.client.change_spec(self.id, patch, **fields)

    def delete(self) -> None:
        """Delete the stream with everything that it has learned."""
        self.client.delete_stream(self.id)


__all__ = ["Stream"]
