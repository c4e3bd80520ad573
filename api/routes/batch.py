"""GET /recommendations/batch: everybody's list, page by page."""

from typing import Annotated, Any

from litestar import get
from litestar.params import QueryParameter
from litestar.response.base import ASGIResponse

from api.guards import may
from api.openapi import BEARER, answer, problems
from api.routes.common import Given, json
from api.routes.examples import RECOMMENDED
from api.schemas_batch import BatchPage

HIGHEST_PAGE = 1_000_000_000
PageNumber = Annotated[
    int, QueryParameter(name="page", ge=1, le=HIGHEST_PAGE, description="Which page, from 1 on.")
]
Users = Annotated[
    int, QueryParameter(name="limit", ge=1, le=100, description="How many users a page has.")
]
PAGE: dict[str, Any] = {
    "page": 1,
    "limit": 20,
    "total_users": 2,
    "results": [
        {"user_id": "1", "status": "success", "recommendations": [RECOMMENDED]},
        {
            "user_id": "10",
            "status": "failed",
            "error": "unavailable",
            "message": "Made without nearest: try again.",
        },
    ],
    "summary": {"success_count": 1, "failed_count": 1, "processing_time_ms": 41},
    "metadata": {
        "model_version": "content_20260101_000000_9f3a",
        "generated_at": "2026-01-01T00:00:00Z",
    },
}


@get(
    "/recommendations/batch",
    guards=[may("batch")],
    summary="A page of users and their lists",
    description="Users in byte order of their ids. One user's failure never fails the page.",
    operation_id="get_batch_page",
    tags=["lists"],
    security=BEARER,
    responses={
        200: answer(BatchPage, "The page; one past the end has no users.", PAGE),
        **problems("invalid_parameter", "unauthenticated", "forbidden", "unavailable"),
    },
)
async def page(services: Given, page: PageNumber = 1, limit: Users = 20) -> ASGIResponse:
    """The lists of `limit` users."""
    return json(await services.batch_pages.page(page, limit))


HANDLERS = (page,)
