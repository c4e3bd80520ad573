"""How the service is; open to everyone, since load balancers carry no token."""

from importlib.metadata import version
from typing import Any

from litestar import Request, get
from litestar.response.base import ASGIResponse

from api.openapi import answer, problems
from api.routes.common import Given, json
from api.routes.examples import HEALTH
from api.schemas import Health, Sign
from core.errors import Unavailable

_VERSION = version("upnext")


@get(
    "/health",
    summary="Each dependency, asked within the last second",
    operation_id="health",
    tags=["health"],
    responses={200: answer(Health, "`ok`, or `degraded` when one does not answer.", HEALTH)},
)
async def health(services: Given) -> ASGIResponse:
    """The state of all dependencies; 200 whatever it is."""
    dependencies = await services.health.check()
    well = all(entry.status == "ok" for entry in dependencies.values())
    live = services.live.current
    return json(
        Health(
            status="ok" if well else "degraded",
            dependencies=dependencies,
            model_version=live.version if live else None,
            version=_VERSION,
        )
    )


@get(
    "/health/live",
    summary="Whether the process runs",
    operation_id="health_live",
    tags=["health"],
    responses={200: answer(Sign, "It runs.", {"status": "ok"})},
)
async def alive() -> ASGIResponse:
    """A sign of life."""
    return json(Sign("ok"))


@get(
    "/health/ready",
    summary="Whether it can answer recommendation requests",
    operation_id="health_ready",
    tags=["health"],
    responses={
        200: answer(Sign, "It can, even when something is missing.", {"status": "ok"}),
        **problems("unavailable"),
    },
)
async def ready(services: Given, request: Request[Any, Any, Any]) -> ASGIResponse:
    """200 once the catalogue is there."""
    if request.app.state.draining.begun:
        raise Unavailable("service", "This process is about to stop.")
    if not services.ready():
        raise Unavailable("catalogue", "The catalogue is not read yet.")
    return json(Sign("ok"))


HANDLERS = (health, alive, ready)
