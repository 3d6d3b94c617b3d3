"""A way to a server that can be bent: answers get lost or late on it, and it can lead to another server."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Forwards what comes to `url` to a server on a unix socket; made by `proxy_to`."""

    def __init__(self, url: str, target: str) -> None:
        self.url = url
        #: URL of the server that new connections lead to; those that are there stay where they are.
        self.target = target
        #: Set: a connection breaks down where an answer should have come.
        self.loses_answers = asyncio.Event()
        #: Clear: answers wait until it is set.
        self.delivers_answers = asyncio.Event()
        self.delivers_answers.set()
        self._open: set[asyncio.StreamWriter] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        from_server, to_server = await asyncio.open_unix_connection(self.target.removeprefix("unix://"))
        ends = {writer, to_server}
        self._open |= ends
        await asyncio.gather(
            self._forward(reader, to_server, answers=False),
            self._forward(from_server, writer, answers=True),
            return_exceptions=True,
        )
        await _close(ends)
        self._open -= ends

    async def close(self) -> None:
        """End all connections."""
        self.delivers_answers.set()
        while self._open:
            await _close(self._open)
            await asyncio.sleep(0.001)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        while data := await reader.read(65536):
            if answers:
                await self.delivers_answers.wait()
                if self.loses_answers.is_set():
                    break
            writer.write(data)
            await writer.drain()
        writer.close()


async def _close(ends: set[asyncio.StreamWriter]) -> None:
    for end in list(ends):
        end.close()
        with suppress(OSError):
            await end.wait_closed()


@asynccontextmanager
async def proxy_to(url: str) -> AsyncIterator[Proxy]:
    """A proxy to the server at `url`, on a socket whose path is short."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        proxy = Proxy(f"unix://{folder}/proxy", url)
        server = await asyncio.start_unix_server(proxy.connected, f"{folder}/proxy")
        try:
            yield proxy
        finally:
            server.close()
            await proxy.close()
