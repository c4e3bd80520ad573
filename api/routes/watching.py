"""What users watched and how they rated it, one at a time."""

from typing import Annotated

from litestar import post
from litestar.openapi.spec import Example
from litestar.params import Body, HeaderParameter
from litestar.response.base import ASGIResponse

from api.guards import may
from api.openapi import BEARER, answer, problems
from api.routes.common import Given, UserIdInPath, json
from api.routes.examples import RATING, RECEIPT, WATCH
from api.schemas import RatingBody, WatchBody, WatchReceipt
from api.services import Services
from api.watching import NewRating, NewWatch
from core.types import UserId, VideoId
from ingest.checks import check_id

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(name="Idempotency-Key", description="Makes a repeat of this request harmless."),
]
WatchInBody = Annotated[WatchBody, Body(examples=[Example(summary="A watch", value=WATCH)])]
RatingInBody = Annotated[RatingBody, Body(examples=[Example(summary="A rating", value=RATING)])]
_ANSWERS = {
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
}


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
    responses=_ANSWERS,
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
        video_id=_video_id(data.content_id),
        watched_seconds=data.watched_seconds,
        video_seconds=data.video_seconds,
        occurred_at=data.occurred_at,
        recommendation_id=_recommendation_id(data.recommendation_id),
    )
    return await _record(services, new, idempotency_key)


@post(
    "/users/{user_id:str}/ratings",
    guards=[may("watching")],
    summary="Record a rating",
    description=(
        "A rating given now, 0.5 to 5. Answers once it is committed; a rated video is not in the "
        "user's lists any more. An unknown user is created."
    ),
    operation_id="record_rating",
    tags=["watching"],
    security=BEARER,
    responses=_ANSWERS,
)
async def rating(
    services: Given,
    user_id: UserIdInPath,
    data: RatingInBody,
    idempotency_key: IdempotencyKey = None,
) -> ASGIResponse:
    """Commit a rating."""
    new = NewRating(
        user_id=UserId(user_id), video_id=_video_id(data.content_id), rating=data.rating
    )
    return await _record(services, new, idempotency_key)


def _video_id(given: str | int) -> VideoId:
    return VideoId(check_id(str(given), "content_id"))


def _recommendation_id(given: str | int | None) -> str | None:
    return None if given is None else check_id(str(given), "recommendation_id")


async def _record(services: Services, new: NewWatch | NewRating, key: str | None) -> ASGIResponse:
    recorded = await services.watching.record(new, key)
    receipt = WatchReceipt(
        user_id=new.user_id,
        content_id=recorded.interaction.video_id,
        occurred_at=recorded.interaction.occurred_at,
        duplicate=recorded.duplicate,
    )
    return json(receipt, 200 if recorded.duplicate else 201)


HANDLERS = (watch, rating)
