"""The HTTP application: routes, guards, problems and the document, around given services."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import perf_counter
from typing import Any

from litestar import Litestar, Request
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import Message, Scope

from api import openapi
from api.auth import Principal, TokenVerifier
from api.draining import Draining
from api.guards import caller
from api.hot import HotPath
from api.limits import send_limit
from api.observing import Observing, begin
from api.problems import on_fault, on_http_error, on_our_error
from api.request_id import send_request_id
from api.routes import (
    batch,
    catalogue,
    config,
    erasure,
    health,
    imports,
    jobs,
    metrics,
    models,
    rank,
    recs,
    stats,
    users,
    videos,
    watching,
)
from api.safe_headers import Shared, cors, send_safe_headers
from api.services import Services
from api.strict import only_what_is_read
from api.traced import traced
from api.unread import telling
from core.errors import UpnextError
from core.tracing import is_on

MAX_BODY_BYTES = 64 * 1024

_ROUTES = (
    *recs.HANDLERS,
    *rank.HANDLERS,
    *users.HANDLERS,
    *watching.HANDLERS,
    *videos.HANDLERS,
    *catalogue.HANDLERS,
    *batch.HANDLERS,
    *models.HANDLERS,
    *imports.HANDLERS,
    *config.HANDLERS,
    *stats.HANDLERS,
    *jobs.HANDLERS,
    *erasure.HANDLERS,
    *health.HANDLERS,
    openapi.document,
)

Compose = Callable[[], AbstractAsyncContextManager[Services]]


def application(
    compose: Compose,
    verifier: TokenVerifier,
    *,
    access_log_sample: float = 0.01,
    shows_metrics: bool = True,
    draining: Draining | None = None,
    cors_origins: str | None = None,
) -> Litestar:
    """The application; `compose` gives its services for as long as it runs.

    Args:
        compose: gives the services.
        verifier: of tokens.
        access_log_sample: the share of cached 200s that get a line in the log.
        shows_metrics: whether /metrics is a route of it.
        draining: begun when the process is about to stop.
        cors_origins: whose pages may call it, with commas between.
    """
    observing = Observing(access_log_sample)
    sharing = cors(cors_origins)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with compose() as services:
            app.state.services = hot.services = services
            yield
            hot.close()

    app = _Application(
        route_handlers=[
            *_ROUTES,
            *(metrics.HANDLERS if shows_metrics else ()),
            openapi.page_assets(),
        ],
        lifespan=[lifespan],
        dependencies={
            "services": Provide(_services, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
        },
        before_request=only_what_is_read,
        before_send=[_finishing(observing)],
        exception_handlers={
            UpnextError: on_our_error,
            HTTPException: on_http_error,
            Exception: on_fault,
        },
        openapi_config=openapi.config(),
        cors_config=sharing,
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )
    app.state.verifier = verifier
    app.draining = app.state.draining = draining or Draining()
    hot = app.hot = HotPath(verifier, observing, Shared(sharing), _after(app, "/recs/"))
    return app


def _finishing(observing: Observing) -> Callable[[Message, Scope], Awaitable[None]]:
    """What is done to each answer of the framework as it begins."""

    async def finish(message: Message, scope: Scope) -> None:
        if message["type"] == "http.response.start":
            await send_request_id(message, scope)
            await send_limit(message, scope)
            await send_safe_headers(message, scope)
            observing.begins(scope, message["status"])

    return finish


class _Application(Litestar):
    """The framework behind the thin path."""

    hot: HotPath
    draining: Draining

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - as there
        """Answer one request, or live from startup to shutdown."""
        if is_on() and scope["type"] == "http":
            await traced(self._answer, scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - as there
        if scope["type"] == "http":
            began = perf_counter()
            send = self.draining.telling(scope, send)
            scope.setdefault("state", {})
            if await self.hot.sends(scope, send, began):
                return
            begin(scope, began)
            receive, send = telling(scope, receive, send)
        await super().__call__(scope, receive, send)


def _after(app: Litestar, prefix: str) -> set[str]:
    """What follows the prefix in the paths of routes that name no parameter."""
    paths = (route.path for route in app.routes if "{" not in route.path)
    return {path.removeprefix(prefix) for path in paths if path.startswith(prefix)}


def _services(request: Request[Any, Any, Any]) -> Services:
    services: Services = request.app.state.services
    return services


def _caller(request: Request[Any, Any, Any]) -> Principal:
    return caller(request)
