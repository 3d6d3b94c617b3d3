"""What a server opens when it starts: its store, and the host of the streams on it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

import structlog

from liquid_core.errors import EngineUnavailableError
from service.metrics import Metrics
from service.settings import Settings

if TYPE_CHECKING:
    from service.shard.engine_choice import EngineChoice
    from service.shard.host import StreamHost
    from service.store import StreamStore

log = structlog.get_logger(__name__)

Opened = TypeVar("Opened")


async def open_host(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> StreamHost:
    """The store, and the host on it; `stack` closes them in the right order.

    Raises
    ------
    StoreError, EngineUnavailableError
        What the store or the engine refuses; the message says why and what to do.
    """
    # Both may take seconds: an embedded store reads its file while this process imports the engine. Where one fails the
    # other is waited for, so that whatever it has opened is on the stack.
    store, engine = await asyncio.gather(
        _open_store(settings, metrics, stack), _engine(settings), return_exceptions=True
    )
    chosen = _unless_failed(engine)
    connected = _unless_failed(store)
    if chosen.fallback is not None:
        log.warning("slow_engine", engine=str(chosen), reason=chosen.fallback)

    from service.shard.host import StreamHost

    return StreamHost(settings, connected, metrics, chosen)


async def _open_store(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> StreamStore:
    from service.store import EmbeddedStore, StreamStore

    url = settings.redis_url
    if url is None:
        embedded = EmbeddedStore(settings.data_dir)
        stack.push_async_callback(embedded.stop)
        url = await embedded.start()
    store = await StreamStore.connect(url)
    stack.push_async_callback(store.close)
    checked = await store.self_check()
    metrics.set_durability(checked.durability)
    for warning in checked.warnings:
        log.warning("store_warning", warning=warning)
    return store


async def _engine(settings: Settings) -> EngineChoice:
    return await asyncio.to_thread(_load_engine, settings)


def _load_engine(settings: Settings) -> EngineChoice:
    """Choose the engine, and import all that the host and its engines need."""
    from service.shard.engine_choice import choose_engine

    engine = choose_engine(settings.engine)
    try:
        import_module("service.shard.host")
        if engine.name == "torch":
            import_module("liquid_core.engine.torch_engine")
    except ImportError as error:
        raise EngineUnavailableError(f"the engine cannot be imported ({error}); install liquidstream again.") from error
    return engine


def _unless_failed(outcome: Opened | BaseException) -> Opened:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


__all__ = ["open_host"]
