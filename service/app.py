"""The application: layers, routes, and what starts and stops with it.

From the outside in, a request passes `Edge` (id, metrics, problems), `Door` (keys, hosts, origins), `Turnstile` (is
there time for it?), `BodyLimit`, and then its route in `service.api`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from liquid_core.errors import EngineUnavailableError
from service import logs
from service.api import (
    controls,
    health,
    history,
    ingest,
    labels,
    openapi,
    pages,
    predict,
    samples,
    snapshots,
    state,
    streams,
    websocket,
)
from service.api.body_limit import BodyLimit
from service.api.edge import Edge, on_http_exception, on_invalid_parameters
from service.api.seam import Host, Services
from service.api.turnstile import Turnstile
from service.lag import measured_lag
from service.metrics import Metrics
from service.security import Door
from service.settings import Settings

log = structlog.get_logger(__name__)

_WEAK_KEY = 16


def create_app(settings: Settings, host: Host | None = None) -> FastAPI:
    """An ASGI app that serves `host`, or, without one, a `StreamHost` on the store that `settings` name.

    Starting the app starts the store and the host; stopping it drains them.
    """
    services = Services(settings, Metrics())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        logs.configure(settings)
        _warn(settings)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(measured_lag(services.metrics, services.admission.adapt))
            working = host if host is not None else await _open_host(services, stack)
            with _mendable(services):
                await working.start()
            stack.push_async_callback(working.drain)
            services.host = working
            log.info("ready", **_facts(working))
            try:
                yield
            finally:
                services.draining = True
                log.info("draining")
        services.host = None
        log.info("stopped")

    app = FastAPI(
        title="Liquidstream",
        lifespan=lifespan,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            HTTPException: on_http_exception,
            RequestValidationError: on_invalid_parameters,
        },
    )
    app.state.services = services
    for resource in (samples, labels, ingest, websocket, streams, controls, predict, history, snapshots, state, health):
        app.include_router(resource.router)
    pages.mount(app)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]
    for layer in (BodyLimit, Turnstile, Door, Edge):  # the last one added is the outermost
        app.add_middleware(layer, services=services)
    return app


async def _open_host(services: Services, stack: AsyncExitStack) -> Host:
    """The store, and the host on it; `stack` closes them in the right order."""
    # Here and not above: torch takes seconds to import, and the API's document needs neither it nor a store.
    from service.shard.engine_choice import choose_engine
    from service.shard.host import StreamHost
    from service.store import EmbeddedStore, StreamStore

    with _mendable(services):
        engine = choose_engine(services.settings.engine)
        if engine.fallback is not None:
            log.warning("slow_engine", engine=str(engine), reason=engine.fallback)
        url = services.settings.redis_url
        if url is None:
            embedded = EmbeddedStore(services.settings.data_dir)
            stack.push_async_callback(embedded.stop)
            url = await embedded.start()
        store = await StreamStore.connect(url)
        stack.push_async_callback(store.close)
        checked = await store.self_check()
    services.metrics.set_durability(checked.durability)
    for warning in checked.warnings:
        log.warning("store_warning", warning=warning)
    return StreamHost(services.settings, store, services.metrics, engine)


@contextmanager
def _mendable(services: Services) -> Iterator[None]:
    """What store or engine refuse is for the operator to mend: the message is all that they need to see."""
    from service.store import StoreError

    try:
        yield
    except (StoreError, EngineUnavailableError) as error:
        services.refusal = str(error)
        raise


def _warn(settings: Settings) -> None:
    if not settings.api_keys:
        log.warning(
            "no_key",
            hint="anybody on the network may call; set LIQUID_API_KEYS"
            if settings.insecure
            else "only this machine may call; set LIQUID_API_KEYS to let others in",
        )
    if any(len(key) < _WEAK_KEY for key in settings.api_keys):
        log.warning("weak_key", hint="a key is short enough to be guessed; take `openssl rand -hex 32`")


def _facts(host: Host) -> dict[str, str]:
    readiness = host.readiness()
    return {"store": readiness.store, "durability": readiness.durability, "engine": readiness.engine}


__all__ = ["create_app"]
