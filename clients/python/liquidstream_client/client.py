"""`Client`: the REST API, one method a call, with safe retries."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from liquidstream_client import calls, control_calls, ingest
from liquidstream_client.calls import Call
from liquidstream_client.errors import LiquidstreamError, NotFound, ProblemError
from liquidstream_client.ingest import Answer, Line
from liquidstream_client.retry import RetryPolicy
from liquidstream_client.session import Session
from liquidstream_client.stream import Stream
from liquidstream_client.types import (
    ColdStream,
    LabelResult,
    PredictResult,
    Readiness,
    SampleResult,
    Snapshot,
    StreamInfo,
)
from liquidstream_client.values import LabelValue, Sample, Time, Values, sample_json

T = TypeVar("T")


class Client:
    """A Liquidstream server.

    >>> with Client("http://127.0.0.1:8765") as client:  # doctest: +SKIP
    ...     pump = client.create_stream("pump-7", task="forecast", features=["flow", "pressure"], horizon=[1, 24])
    ...     answer = pump.send(t=1732406400.0, x=[3.1, 0.82])

    Parameters
    ----------
    url
        Where the server is.
    api_key
        Sent as a bearer token. Not needed on loopback, unless the server was given keys.
    timeout_s
        Longest wait for one answer.
    retry
        When a call is tried again. What could be applied twice never is: a sample without `seq` is repeated only
        where the server certainly did not take it.
    transport
        Another httpx transport, for tests and unusual networks.
    """

    def __init__(
        self,
        url: str = calls.DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retry: RetryPolicy | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.api_key = api_key
        self.timeout_s = timeout_s
        self.retry = retry or RetryPolicy()
        self._http = httpx.Client(
            base_url=self.url,
            headers=calls.headers(api_key),
            timeout=timeout_s,
            transport=transport,
            trust_env=not calls.is_loopback(self.url),
        )

    # Streams.

    def create_stream(self, stream_id: str, spec: Mapping[str, Any] | None = None, **fields: Any) -> Stream:
        """Create a stream, or confirm that it exists with this very spec.

        The spec is a dict, or its fields as keywords: ``task="forecast", features=["flow"], horizon=[1, 24]``.

        Raises
        ------
        Conflict
            ``spec_conflict``: the stream exists with another spec.
        Invalid
            ``spec_invalid``: the detail names the field.
        """
        info = self.call(calls.create_stream(stream_id, {**(spec or {}), **fields}))
        return Stream(self, stream_id, info.last_seq)

    def stream(self, stream_id: str) -> Stream:
        """A handle on an existing stream; it asks for the server's `last_seq` with the first sample."""
        return Stream(self, stream_id)

    def describe(self, stream_id: str) -> StreamInfo:
        """What the stream is and how well it predicts."""
        return self.call(calls.describe(stream_id))

    def streams(self, limit: int = 100) -> Iterator[StreamInfo | ColdStream]:
        """All streams, fetched `limit` at a time."""
        cursor: str | None = None
        while True:
            page, cursor = self.call(calls.list_streams(cursor, limit))
            yield from page
            if cursor is None:
                return

    def delete_stream(self, stream_id: str) -> None:
        """Delete a stream with everything that it has learned."""
        self.call(calls.delete_stream(stream_id))

    def session(self, window: int = 64) -> Session:
        """A WebSocket session: many streams on one connection, `window` messages under way."""
        return Session(self.url, api_key=self.api_key, timeout_s=self.timeout_s, retry=self.retry, window=window)

    # Samples and labels.

    def send(
        self, stream_id: str, *, t: Time, x: Values, y: LabelValue | None = None, seq: int | None = None
    ) -> SampleResult:
        """One sample in, its predictions out. With `seq` a retry is safe; `Stream.send` counts by itself."""
        return self.call(calls.send(stream_id, sample_json({"t": t, "x": x, "y": y, "seq": seq})))

    def send_many(
        self, stream_id: str, samples: Iterable[Mapping[str, Any] | Sample]
    ) -> list[SampleResult | ProblemError]:
        """Samples of one stream in one request; in place of a refused one's answer stands its `ProblemError`."""
        bodies = [sample_json(sample) for sample in samples]
        return self.call(calls.send_many(stream_id, bodies)) if bodies else []

    def ingest(self, lines: Iterable[Line]) -> Iterator[Answer]:
        """Samples and labels of any streams, and one answer or `ProblemError` for each, in their order.

        Lines are taken from the iterable 256 at a time and sent as one request: for data that is there. What arrives
        while it is sent goes by a `session`.

        >>> lines = [{"stream": "pump-7", "t": 1.0, "x": [3.1, 0.82], "seq": 1}]
        >>> labels = [{"type": "label", "stream": "meter", "seq": 1, "y": 71.5}]
        >>> [answer.seq for answer in client.ingest(lines + labels)]  # doctest: +SKIP

        With a `seq` in every line a batch is repeated after a lost connection; what was applied comes back as a
        duplicate.
        """
        for call in ingest.requests(lines):
            yield from self.call(call)

    def label(self, stream_id: str, seq: int, y: LabelValue) -> LabelResult:
        """The label of an earlier sample. The same label again changes nothing."""
        return self.call(calls.label(stream_id, seq, y))

    def label_many(self, stream_id: str, labels: Mapping[int, LabelValue]) -> list[LabelResult | ProblemError]:
        """Labels by `seq`, in one request."""
        return self.call(calls.label_many(stream_id, labels)) if labels else []

    def predict(self, stream_id: str, *, t: Time | None = None, x: Values | None = None) -> PredictResult:
        """What would be answered if this sample came next. Changes nothing."""
        return self.call(calls.predict(stream_id, t, x))

    def state(self, stream_id: str) -> bytes:
        """Everything that the stream is, as safetensors."""
        return self.call(calls.state(stream_id))

    # Commands: each waits for its turn behind the samples that were sent before it.

    def reset(self, stream_id: str, *, if_seq: int | None = None) -> StreamInfo:
        """Let learning begin anew; numbers of samples go on.

        With `if_seq` only if that is the stream's last sample by then: so it is safe to repeat (`Conflict` otherwise).
        """
        return self.call(control_calls.reset(stream_id, if_seq))

    def freeze(self, stream_id: str, *, if_seq: int | None = None) -> StreamInfo:
        """Let the stream predict and measure, but not learn. Freezing twice is freezing once."""
        return self.call(control_calls.freeze(stream_id, if_seq))

    def unfreeze(self, stream_id: str, *, if_seq: int | None = None) -> StreamInfo:
        """Let it learn again."""
        return self.call(control_calls.unfreeze(stream_id, if_seq))

    def snapshot(self, stream_id: str) -> Snapshot:
        """Keep the stream's state as it is now, to go back to; a stream keeps eight."""
        return self.call(control_calls.snapshot(stream_id))

    def snapshots(self, stream_id: str) -> list[Snapshot]:
        """What the stream can go back to, oldest first."""
        return self.call(control_calls.snapshots(stream_id))

    def delete_snapshot(self, stream_id: str, position: int) -> None:
        """Let a snapshot go that was kept."""
        self.call(control_calls.delete_snapshot(stream_id, position))

    def rollback(self, stream_id: str, to: int, *, if_seq: int | None = None) -> StreamInfo:
        """Let the stream go back to the snapshot at position `to`; numbers go on, and a frozen stream stays so."""
        return self.call(control_calls.rollback(stream_id, to, if_seq))

    def fork(self, stream_id: str, new_id: str) -> Stream:
        """Make a second stream that begins as this one is now, numbers included."""
        info = self.call(control_calls.fork(stream_id, new_id))
        return Stream(self, new_id, info.last_seq)

    def change_spec(self, stream_id: str, patch: Mapping[str, Any] | None = None, **fields: Any) -> StreamInfo:
        """Merge a patch into the stream's spec: ``change_spec("pump-7", learner={"learning_rate": 0.001})``.

        `None` stands for a field's default. Learning goes on where only rates, admission or the drift detector change,
        else it begins anew.
        """
        return self.call(control_calls.change_spec(stream_id, {**(patch or {}), **fields}))

    def import_state(self, stream_id: str, state: bytes) -> Stream:
        """Let a stream be what `state` gave, here or on another server; it is created where it is not there."""
        info = self.call(control_calls.import_state(stream_id, state))
        return Stream(self, stream_id, info.last_seq)

    # The server.

    def ready(self) -> Readiness:
        """Whether the server takes samples; asks once, without retries."""
        return self._once(calls.ready())

    def version(self) -> dict[str, Any]:
        """Versions of the server and of what it is built on."""
        return self.call(calls.version())

    # How.

    def call(self, call: Call[T]) -> T:
        """Run a call, again where that is safe and may help."""
        backoff = self.retry.start()
        while True:
            try:
                return self._once(call)
            except LiquidstreamError as error:
                if call.method == "DELETE" and backoff.attempt > 1 and isinstance(error, NotFound):
                    return None  # type: ignore[return-value] # the try whose answer got lost has deleted it
                delay = backoff.next_delay(getattr(error, "retry_after_s", None)) if call.may_repeat(error) else None
                if delay is None:
                    raise
            time.sleep(delay)

    def _once(self, call: Call[T]) -> T:
        try:
            response = self._http.request(
                call.method,
                call.path,
                json=call.json,
                content=call.content,
                headers=call.headers,
                params=call.params,
            )
        except httpx.TransportError as error:
            raise calls.connection_error(self.url, error) from error
        refusal = calls.error_of(response)
        if refusal is not None:
            raise refusal
        return calls.read_answer(call, response)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


__all__ = ["Client"]
