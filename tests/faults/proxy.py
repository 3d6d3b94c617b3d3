"""A network between the service and its store that can be made bad in every way that networks are."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Self

_CHUNK = 65_536


class Proxy:
    """A TCP proxy in a thread of its own. Its attributes may be set at any time, and hold from the next bytes on.

    Parameters
    ----------
    to
        Port of this machine that it leads to.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        #: Seconds that bytes take, each way.
        self.latency_s = 0.0
        #: Most bytes that are passed on at a time, and the seconds between; 0 for as they come.
        self.slice_bytes = 0
        self.slice_pause_s = 0.0
        #: Bytes to the store, or from it, vanish; connections stay.
        self.loses_requests = False
        self.loses_replies = False
        #: Told of what is about to go to the store; may block, or break everything.
        self.before_request: Callable[[bytes], None] = lambda _: None
        #: Told of what has come back, before the service gets it.
        self.before_reply: Callable[[bytes], None] = lambda _: None
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        server: asyncio.Server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self._server = server
        self.port: int = server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def lead_to(self, port: int) -> None:
        """Let connections from now on end elsewhere, as when an address is moved to a replica."""
        self._to = port

    def reset(self) -> None:
        """Break every connection, without a word."""
        self._loop.call_soon_threadsafe(self._reset)

    @contextlib.contextmanager
    def blackhole(self) -> Iterator[None]:
        """Nothing gets through either way, and nobody is told."""
        self.loses_requests = self.loses_replies = True
        try:
            yield
        finally:
            self.loses_requests = self.loses_replies = False
            self.reset()  # what was half lost must not be taken for an answer

    def _reset(self) -> None:
        for writer in self._writers:
            raw: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there_writer}
        pumps = [
            asyncio.create_task(self._pump(reader, there_writer, to_store=True)),
            asyncio.create_task(self._pump(there_reader, writer, to_store=False)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for each in (writer, there_writer):
            self._writers.discard(each)
            each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_store: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                await asyncio.to_thread(self.before_request if to_store else self.before_reply, data)
                if self.loses_requests if to_store else self.loses_replies:
                    continue
                await self._write(writer, data)

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        step = self.slice_bytes or len(data)
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
            if self.slice_pause_s:
                await asyncio.sleep(self.slice_pause_s)

    async def _close(self) -> None:
        self._server.close()
        self._reset()
        # All end by themselves now, as their connections have; to cancel them would be logged as an error.
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


__all__ = ["Proxy"]
