"""The process: the app on uvicorn, with bounded connections and an orderly end."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from contextlib import suppress

import structlog
import uvicorn
from fastapi import FastAPI

from service import logs
from service.api.seam import Services
from service.app import create_app
from service.connections import SPARE, HttpConnection, WebSocketConnection, sweep
from service.settings import Settings

log = structlog.get_logger(__name__)

_KEEP_ALIVE_S = 30
#: Files that the process needs besides its connections.
_OTHER_FILES = 64


def configuration(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the app."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        # Streams live in this process: more workers would be as many servers that disagree.
        workers=1,
        lifespan="on",
        http=HttpConnection,
        ws=WebSocketConnection,
        log_config=None,
        # Ours is in `service.api.edge`: uvicorn's would log paths as they come.
        access_log=False,
        server_header=False,
        # Nothing here trusts what a proxy says about its client.
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout_s)),
        ws_max_size=settings.max_body_bytes,
        ws_max_queue=32,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        # Compression costs CPU and memory a connection, and messages are small.
        ws_per_message_deflate=False,
    )


class Server(uvicorn.Server):
    """Uvicorn that lets sessions finish: it would close every WebSocket at once, whatever is in flight."""

    _sweeping: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        services: Services = self.config.app.state.services  # type: ignore[union-attr]
        services.connections = self.server_state.connections
        services.max_connections = _with_files_for(services.settings.max_connections)
        await super().startup(sockets)
        self._sweeping = asyncio.create_task(sweep(self.server_state.connections, services), name="sweep")
        # What is there by now, torch above all, is there until the end. Under load the garbage collector would go
        # through all of it every second or so, and each time hold up every stream for a tenth of a second and more.
        gc.collect()
        gc.freeze()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        services: Services = self.config.app.state.services  # type: ignore[union-attr]
        services.draining = True
        for server in self.servers:
            server.close()
        try:
            async with asyncio.timeout(services.settings.shutdown_timeout_s):
                await asyncio.gather(*(session.drain() for session in list(services.sessions)))
        except TimeoutError:
            log.warning("drain_timed_out", sessions=len(services.sessions))
        await super().shutdown(sockets)
        if self._sweeping is not None:
            self._sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeping
        gc.unfreeze()


def _with_files_for(connections: int) -> int:
    """How many of so many connections this process can have files for, with its limit raised as far as it goes."""
    try:
        import resource
    except ImportError:  # Windows, where the limit is another one and high enough
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    except (OSError, ValueError):
        reachable = soft
    possible = max(1, reachable - SPARE - _OTHER_FILES)
    if possible < connections:
        log.warning("few_files", connections=possible, hint=f"`ulimit -n {wanted}` allows {connections}")
    return min(connections, possible)


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; exits with 3 where the start failed."""
    logs.configure(settings)
    server = Server(configuration(create_app(settings), settings))
    log.info("starting", url=f"http://{settings.host}:{settings.port}")
    server.run()
    if not server.started:
        sys.exit(3)


__all__ = ["Server", "configuration", "run"]
