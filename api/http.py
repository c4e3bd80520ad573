"""The HTTP application: routes, guards, problems and the document, around given services."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from litestar import Litestar, Request
from litestar.di import Provide
from litestar.exceptions import HTTPException

from api import openapi
from api.auth import Principal, TokenVerifier
from api.guards import caller
from api.limits import send_limit
from api.problems import on_fault, on_http_error, on_our_error
from api.request_id import send_request_id
from api.routes import (
    batch,
    catalogue,
    config,
    erasure,
    health,
    jobs,
    models,
    rank,
    recs,
    stats,
    users,
    videos,
    watching,
)
from api.services import Services
from api.strict import only_what_is_read
from core.errors import UpnextError

MAX_BODY_BYTES = 64 * 1024

Compose = Callable[[], AbstractAsyncContextManager[Services]]


def application(compose: Compose, verifier: TokenVerifier) -> Litestar:
    """The application; `compose` gives its services for as long as it runs."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with compose() as services:
            app.state.services = services
            yield

    app = Litestar(
        route_handlers=[
            *recs.HANDLERS,
            *rank.HANDLERS,
            *users.HANDLERS,
            *watching.HANDLERS,
            *videos.HANDLERS,
            *catalogue.HANDLERS,
            *batch.HANDLERS,
            *models.HANDLERS,
            *config.HANDLERS,
            *stats.HANDLERS,
            *jobs.HANDLERS,
            *erasure.HANDLERS,
            *health.HANDLERS,
            openapi.document,
            openapi.page_assets(),
        ],
        lifespan=[lifespan],
        dependencies={
            "services": Provide(_services, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
        },
        before_request=only_what_is_read,
        before_send=[send_request_id, send_limit],
        exception_handlers={
            UpnextError: on_our_error,
            HTTPException: on_http_error,
            Exception: on_fault,
        },
        openapi_config=openapi.config(),
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )
    app.state.verifier = verifier
    return app


def _services(request: Request[Any, Any, Any]) -> Services:
    services: Services = request.app.state.services
    return services


def _caller(request: Request[Any, Any, Any]) -> Principal:
    return caller(request)
