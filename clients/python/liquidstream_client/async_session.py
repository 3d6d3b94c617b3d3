"""`AsyncSession`: many streams on one WebSocket, pipelined, surviving a broken connection."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from liquidstream_client import calls
from liquidstream_client.errors import ConnectionFailed, LiquidstreamError, ProblemError, ProtocolError, problem_error
from liquidstream_client.lanes import Lanes
from liquidstream_client.retry import Backoff, RetryPolicy
from liquidstream_client.types import LabelResult, SampleResult
from liquidstream_client.values import LabelValue, Time, Values, label_json, sample_json

SUBPROTOCOL = Subprotocol("liquid.v1.json")
_MAX_MESSAGE_BYTES = 16 * 2**20
_STEADY_AFTER_S = 5.0


class AsyncSession:
    """A WebSocket session; made by `AsyncClient.session` and used with ``async with``.

    Samples of one stream are applied in the order in which they were submitted, each once, also across broken
    connections and refusals. The session numbers them itself, from where the server stands.

    >>> async with client.session() as session:  # doctest: +SKIP
    ...     first = await session.submit("pump-7", t=1.0, x=[3.1, 0.82])      # waits for room in the window only
    ...     second = await session.send("pump-8", t=1.0, x=[2.9, 0.80])       # waits for the answer
    ...     print((await first).seq, second.seq)

    Parameters
    ----------
    url, api_key, timeout_s, retry
        As in `AsyncClient`. `retry` bounds each outage and each refused message, not the session.
    window
        Messages without an answer, over all streams. The server keeps the last 64 answers of a stream for repeats,
        so with a larger window a repeat after a broken connection may come back with `predictions` of `None`.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retry: RetryPolicy | None = None,
        window: int = 64,
    ) -> None:
        if window < 1:
            raise ValueError("`window` must be at least 1")
        self.url = url.rstrip("/")
        self._reconnects = 0
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._retry = retry or RetryPolicy()
        self._lanes = Lanes(self._retry, time.monotonic)
        self._room = asyncio.Semaphore(window)
        self._opening = asyncio.Lock()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._ready: asyncio.Future[None] | None = None
        self._runner: asyncio.Task[None] | None = None
        self._over: LiquidstreamError | None = None
        self._drain_delay_s: float | None = None
        self._progress = False
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=calls.headers(api_key),
            timeout=timeout_s,
            trust_env=not calls.is_loopback(self.url),
        )

    # Use.

    async def submit(
        self, stream_id: str, *, t: Time, x: Values, y: LabelValue | None = None
    ) -> asyncio.Future[SampleResult]:
        """Put one sample on its way, waiting only for room in the window; the future gets the answer."""
        body = sample_json({"t": t, "x": x, "y": y})
        await self._make_room(stream_id)
        future, done = self._waiter()
        self._lanes.sample(stream_id, body, done)
        self._wake.set()
        return future

    async def send(self, stream_id: str, *, t: Time, x: Values, y: LabelValue | None = None) -> SampleResult:
        """One sample in, its predictions out."""
        return await (await self.submit(stream_id, t=t, x=x, y=y))

    async def submit_label(self, stream_id: str, seq: int, y: LabelValue) -> asyncio.Future[LabelResult]:
        """Put the label of an answered sample on its way."""
        body = {"y": label_json(y)}
        await self._make_room(stream_id)
        future, done = self._waiter()
        try:
            self._lanes.label(stream_id, seq, body, done)
        except ValueError:
            self._room.release()
            raise
        self._wake.set()
        return future

    async def label(self, stream_id: str, seq: int, y: LabelValue) -> LabelResult:
        """The label of an answered sample."""
        return await (await self.submit_label(stream_id, seq, y))

    async def drain(self) -> None:
        """Wait until everything submitted so far has been answered or refused."""
        await self._idle.wait()

    @property
    def reconnects(self) -> int:
        """How often the connection had to be made anew."""
        return self._reconnects

    # Open and close.

    async def open(self) -> Self:
        """Connect; done by ``async with``."""
        self._ready = asyncio.get_running_loop().create_future()
        self._runner = asyncio.create_task(self._run(), name="liquidstream-session")
        try:
            await asyncio.shield(self._ready)
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Close at once; what has no answer fails with `ConnectionFailed`. `drain` first to keep it."""
        self._end(ConnectionFailed("the session was closed before this was answered"))
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.drain()
        await self.close()

    # How.

    async def _make_room(self, stream_id: str) -> None:
        """Wait for a place in the window, and for the stream's `last_seq` the first time."""
        if self._runner is None:
            raise RuntimeError("use the session with `async with`, or call `open` first")
        await self._room.acquire()
        try:
            async with self._opening:
                if not self._lanes.knows(stream_id):
                    self._lanes.open(stream_id, await self._last_seq(stream_id))
            if self._over is not None:
                raise self._over
        except BaseException:
            self._room.release()
            raise

    async def _last_seq(self, stream_id: str) -> int:
        call, backoff = calls.describe(stream_id), self._retry.start()
        while True:
            try:
                response = await self._http.request(call.method, call.path)
                refusal = calls.error_of(response)
                if refusal is None:
                    return calls.read_answer(call, response).last_seq
                error: LiquidstreamError = refusal
            except httpx.TransportError as lost:
                error = calls.connection_error(self.url, lost)
            delay = backoff.next_delay(getattr(error, "retry_after_s", None)) if call.may_repeat(error) else None
            if delay is None:
                raise error
            await asyncio.sleep(delay)

    def _waiter(self) -> tuple[asyncio.Future[Any], Any]:
        """A future, and the callback that settles it and makes room."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(outcome: Any) -> None:
            self._room.release()
            if not future.done():
                if isinstance(outcome, LiquidstreamError):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

        self._idle.clear()
        return future, done

    def _end(self, error: LiquidstreamError) -> None:
        """Nothing goes on after this; the first reason is the one that is told."""
        self._over = self._over or error
        self._lanes.fail(self._over)
        self._idle.set()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(self._over)
            self._ready.exception()  # it counts as seen, also where `open` was cancelled

    async def _run(self) -> None:
        """Connect, talk, and after an outage connect again."""
        try:
            await self._stay_connected()
        except LiquidstreamError as error:
            self._end(error)

    async def _stay_connected(self) -> None:
        backoff: Backoff | None = None
        while True:
            began, self._progress, self._drain_delay_s = time.monotonic(), False, None
            try:
                await self._connect_and_talk()
                reason = "the server closed it"
            except (InvalidStatus, ProblemError) as error:
                refusal = _refusal(error) if isinstance(error, InvalidStatus) else error
                if not refusal.is_temporary:
                    raise refusal from error
                reason, self._drain_delay_s = str(refusal), refusal.retry_after_s
            except (OSError, WebSocketException, TimeoutError) as error:
                reason = str(error) or type(error).__name__
            self._lanes.disconnected()
            if backoff is None or self._progress or time.monotonic() - began > _STEADY_AFTER_S:
                backoff = self._retry.start()
            delay = backoff.next_delay(self._drain_delay_s)
            if delay is None:
                raise ConnectionFailed(
                    f"no connection to {self.url}: {reason}. Is the server running? `liquidstream serve`"
                )
            self._reconnects += 1
            await asyncio.sleep(delay)

    async def _connect_and_talk(self) -> None:
        address = "ws" + self.url.removeprefix("http") + "/v1/ws"
        async with connect(
            address,
            subprotocols=[SUBPROTOCOL],
            additional_headers=calls.headers(self._api_key),
            compression=None,
            open_timeout=self._timeout_s,
            close_timeout=1.0,
            max_size=_MAX_MESSAGE_BYTES,
            proxy=None if calls.is_loopback(self.url) else True,
            process_exception=lambda error: error,
        ) as socket:
            for hello in self._lanes.hellos():
                await socket.send(_encode(hello))
                self._lanes.connected(await self._welcome(socket))
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
            writer = asyncio.create_task(self._write(socket))
            try:
                await self._read(socket)
            finally:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)

    async def _welcome(self, socket: ClientConnection) -> dict[str, Any]:
        welcome = _decode(await asyncio.wait_for(socket.recv(), self._timeout_s))
        if welcome["type"] == "nack":
            raise problem_error(welcome["problem"])
        if welcome["type"] != "welcome":
            raise ProtocolError(f"the server greeted with '{welcome['type']}' where `welcome` belongs")
        return welcome

    async def _read(self, socket: ClientConnection) -> None:
        async for frame in socket:
            message = _decode(frame)
            if message["type"] == "drain":
                self._drain_delay_s = float(message.get("retry_after_ms", 0)) / 1000
            elif message["type"] in ("result", "nack"):
                self._lanes.receive(message)
                self._progress = True
                if self._lanes.is_empty:
                    self._idle.set()
            self._wake.set()

    async def _write(self, socket: ClientConnection) -> None:
        """Send what may be sent, whenever there is something new; a draining server gets nothing more."""
        while True:
            self._wake.clear()
            if self._drain_delay_s is None:
                for message in self._lanes.outgoing():
                    await socket.send(_encode(message))
            wake_at = self._lanes.wake_at()
            pause = None if wake_at is None else max(0.001, wake_at - time.monotonic())
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
            except TimeoutError:
                continue


def _encode(message: Mapping[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def _decode(frame: str | bytes) -> dict[str, Any]:
    try:
        message = json.loads(frame)
    except ValueError as error:
        raise ProtocolError(f"the server sent a frame that is not JSON: {error}") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ProtocolError("the server sent a frame without a `type`")
    return message


def _refusal(error: InvalidStatus) -> ProblemError:
    """The problem with which the server answered the handshake."""
    answer = error.response
    response = httpx.Response(
        answer.status_code, headers=list(answer.headers.raw_items()), content=bytes(answer.body or b"")
    )
    problem = calls.error_of(response)
    return problem if problem is not None else problem_error({"status": error.response.status_code})


__all__ = ["AsyncSession"]
