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
from service.opening import open_host
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
            with _mendable(services):
                working = host if host is not None else await open_host(settings, services.metrics, stack)
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
