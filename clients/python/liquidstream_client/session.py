"""`Session`: the same as `AsyncSession` for callers that do not run an event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from liquidstream_client.async_session import AsyncSession
from liquidstream_client.retry import RetryPolicy
from liquidstream_client.types import LabelResult, SampleResult
from liquidstream_client.values import LabelValue, Time, Values

T = TypeVar("T")


class Session:
    """A WebSocket session; made by `Client.session` and used with ``with``. An event loop runs it in a thread.

    >>> with client.session() as session:  # doctest: +SKIP
    ...     waiting = [session.submit("pump-7", t=t, x=x) for t, x in samples]     # `window` of them under way
    ...     answers = [future.result() for future in waiting]

    Parameters are those of `AsyncSession`.
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
        self._settings: dict[str, Any] = {"api_key": api_key, "timeout_s": timeout_s, "retry": retry, "window": window}
        self.url = url
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._session: AsyncSession | None = None

    # Use.

    def submit(
        self, stream_id: str, *, t: Time, x: Values, y: LabelValue | None = None
    ) -> concurrent.futures.Future[SampleResult]:
        """Put one sample on its way, waiting only for room in the window; the future gets the answer."""
        return self._start(lambda session: session.submit(stream_id, t=t, x=x, y=y))

    def send(self, stream_id: str, *, t: Time, x: Values, y: LabelValue | None = None) -> SampleResult:
        """One sample in, its predictions out."""
        return self.submit(stream_id, t=t, x=x, y=y).result()

    def submit_label(self, stream_id: str, seq: int, y: LabelValue) -> concurrent.futures.Future[LabelResult]:
        """Put the label of an answered sample on its way."""
        return self._start(lambda session: session.submit_label(stream_id, seq, y))

    def label(self, stream_id: str, seq: int, y: LabelValue) -> LabelResult:
        """The label of an answered sample."""
        return self.submit_label(stream_id, seq, y).result()

    def drain(self) -> None:
        """Wait until everything submitted so far has been answered or refused."""
        self._wait(self._opened().drain())

    @property
    def reconnects(self) -> int:
        """How often the connection had to be made anew."""
        return self._opened().reconnects

    # Open and close.

    def open(self) -> Self:
        """Connect; done by ``with``."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="liquidstream-session", daemon=True)
        self._thread.start()
        try:
            self._session = self._wait(self._connect())
        except BaseException:
            self._stop_loop()
            raise
        return self

    def close(self) -> None:
        """Close at once; what has no answer fails with `ConnectionFailed`. `drain` first to keep it."""
        if self._session is not None:
            self._wait(self._session.close())
            self._session = None
        self._stop_loop()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.drain()
        finally:
            self.close()

    # How.

    async def _connect(self) -> AsyncSession:
        return await AsyncSession(self.url, **self._settings).open()

    def _start(self, submit: Callable[[AsyncSession], Awaitable[asyncio.Future[T]]]) -> concurrent.futures.Future[T]:
        """Run `submit` in the loop and hand its future's outcome on to one that this thread can wait for."""
        session, answer = self._opened(), concurrent.futures.Future[T]()

        def pass_on(future: asyncio.Future[T]) -> None:
            if not answer.set_running_or_notify_cancel():
                return
            error = future.exception()
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(future.result())

        async def start() -> None:
            (await submit(session)).add_done_callback(pass_on)

        self._wait(start())
        return answer

    def _opened(self) -> AsyncSession:
        if self._session is None:
            raise RuntimeError("use the session with `with`, or call `open` first")
        return self._session

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop_loop(self) -> None:
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None


__all__ = ["Session"]
