"""What is about one user: the list of a known one, and what was watched."""

from typing import Annotated

from litestar import get, post
from litestar.openapi.spec import Example
from litestar.params import Body, HeaderParameter
from litestar.response.base import ASGIResponse

from api.guards import may
from api.openapi import BEARER, answer, problems
from api.routes.common import Given, Limit, UserIdInPath, json
from api.routes.examples import RECEIPT, USER_LIST, WATCH
from api.schemas import UserList, WatchBody, WatchReceipt
from api.watching import NewWatch
from core.types import UserId, VideoId
from ingest.checks import check_id

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(name="Idempotency-Key", description="Makes a repeat of this request harmless."),
]
WatchInBody = Annotated[WatchBody, Body(examples=[Example(summary="A watch", value=WATCH)])]


@get(
    "/users/{user_id:str}/recommendations",
    guards=[may("lists")],
    summary="The list of a known user",
    description="As /recs/{user_id}, but a user the service has never heard of is a 404.",
    operation_id="get_user_recommendations",
    tags=["lists"],
    security=BEARER,
    responses={
        200: answer(UserList, "The list; its order is the recommendation.", USER_LIST),
        **problems("invalid_parameter", "unauthenticated", "forbidden", "user_not_found"),
    },
)
async def recommendations(
    services: Given, user_id: UserIdInPath, limit: Limit = 10
) -> ASGIResponse:
    """The first `limit` of the list."""
    return json(await services.recommender.recommend(UserId(user_id), limit, must_exist=True))


@post(
    "/users/{user_id:str}/watch-history",
    guards=[may("watching")],
    summary="Record a watch",
    description=(
        "Answers once it is committed; the user's next list does not contain the video. "
        "An unknown user is created."
    ),
    operation_id="record_watch",
    tags=["watching"],
    security=BEARER,
    responses={
        201: answer(WatchReceipt, "Committed.", RECEIPT),
        200: answer(WatchReceipt, "A repeat.", {**RECEIPT, "duplicate": True}),
        **problems(
            "invalid_parameter",
            "unauthenticated",
            "forbidden",
            "content_not_found",
            "conflict",
            "payload_too_large",
            "unsupported_media_type",
            "unavailable",
        ),
    },
)
async def watch(
    services: Given,
    user_id: UserIdInPath,
    data: WatchInBody,
    idempotency_key: IdempotencyKey = None,
) -> ASGIResponse:
    """Commit a watch."""
    new = NewWatch(
        user_id=UserId(user_id),
        video_id=VideoId(check_id(str(data.content_id), "content_id")),
        watched_seconds=data.watched_seconds,
        video_seconds=data.video_seconds,
        occurred_at=data.occurred_at,
        recommendation_id=data.recommendation_id,
    )
    recorded = await services.watching.record(new, idempotency_key)
    receipt = WatchReceipt(
        user_id=user_id,
        content_id=recorded.interaction.video_id,
        occurred_at=recorded.interaction.occurred_at,
        duplicate=recorded.duplicate,
    )
    return json(receipt, 200 if recorded.duplicate else 201)


HANDLERS = (recommendations, watch)
