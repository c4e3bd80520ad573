"""GET /recs/stats: what was served, and the watches that followed."""

from typing import Any

from litestar import get
from litestar.response.base import ASGIResponse

from api.guards import may
from api.openapi import BEARER, answer, problems
from api.routes.common import Given, json
from api.stats import Stats

_COUNTS: dict[str, Any] = {"lists": 1200, "videos": 12000, "watches": 84}
_WINDOW: dict[str, Any] = {
    "since": "2026-01-01T11:00:00Z",
    **_COUNTS,
    "versions": [
        {
            "model_version": "als_20260101_000000_9f3a",
            "config_version": 3,
            **_COUNTS,
            "sources": [
                {"source": "nearest", "lists": 1180, "videos": 9700, "watches": 71},
                {"source": "popular", "lists": 940, "videos": 2300, "watches": 13},
            ],
        }
    ],
}
_EXAMPLE: dict[str, Any] = {
    "generated_at": "2026-01-01T12:00:00Z",
    "last_hour": _WINDOW,
    "last_day": {**_WINDOW, "since": "2025-12-31T12:00:00Z"},
}


@get(
    "/recs/stats",
    guards=[may("stats")],
    summary="What was served, and watched from it",
    description=(
        "Lists served, videos shown and watches that followed, for the last hour and day. A watch "
        "followed when its `recommendation_id` is that of a list that showed the video. "
        "What was served counts within a few seconds."
    ),
    operation_id="get_stats",
    tags=["configuration"],
    security=BEARER,
    responses={
        200: answer(Stats, "By model version, configuration and source.", _EXAMPLE),
        **problems("invalid_parameter", "unauthenticated", "forbidden", "unavailable"),
    },
)
async def stats(services: Given) -> ASGIResponse:
    """The last hour and day."""
    return json(await services.statistics.read())


HANDLERS = (stats,)
