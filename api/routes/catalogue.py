"""The catalogue, video by video."""

from typing import Annotated, Any

from litestar import delete, get, put
from litestar.openapi.spec import Example
from litestar.params import Body
from litestar.response.base import ASGIResponse

from api.guards import may
from api.openapi import BEARER, answer, problems
from api.routes.common import Given, VideoIdInPath, json
from api.schemas_catalogue import VideoBody, VideoDetails, details, video_of
from core.types import VideoId

MAX_VIDEO_BYTES = 512 * 1024  # 20,000 characters of description, each escaped

_VIDEO: dict[str, Any] = {
    "title": "The Long Way Down",
    "description": "Two climbers, one rope.",
    "genres": ["drama", "sport"],
    "duration_seconds": 5400.0,
    "language": "en",
    "creator_id": "studio-9",
    "published_at": "2025-11-01T08:00:00Z",
    "available": True,
    "available_from": None,
    "available_until": None,
    "regions": ["DE", "FR"],
    "maturity": 12,
}
_DETAILS: dict[str, Any] = {
    "id": "42",
    **_VIDEO,
    "popularity_score": 0.79,
    "updated_at": "2026-01-01T00:00:00Z",
}
VideoInBody = Annotated[VideoBody, Body(examples=[Example(summary="A video", value=_VIDEO)])]


@get(
    "/videos/{video_id:str}",
    guards=[may("videos")],
    summary="A video",
    description="As it is in the catalogue now, taken down or not.",
    operation_id="get_video",
    tags=["catalogue"],
    security=BEARER,
    responses={
        200: answer(VideoDetails, "The video.", _DETAILS),
        **problems(
            "invalid_parameter", "unauthenticated", "forbidden", "content_not_found", "unavailable"
        ),
    },
)
async def read(services: Given, video_id: VideoIdInPath) -> ASGIResponse:
    """A video."""
    catalogue = services.catalogue
    stored = await catalogue.get(VideoId(video_id))
    return json(details(stored, catalogue.popularity_of(stored.video.id)))


@put(
    "/videos/{video_id:str}",
    guards=[may("catalogue.write")],
    summary="Add or replace a video",
    description=(
        "The whole video: what is left out goes back to its default. With `available` false it is "
        "taken down: on no list within a second."
    ),
    operation_id="put_video",
    tags=["catalogue"],
    security=BEARER,
    request_max_body_size=MAX_VIDEO_BYTES,
    responses={
        200: answer(VideoDetails, "Replaced.", _DETAILS),
        201: answer(VideoDetails, "Added.", {**_DETAILS, "popularity_score": 0.0}),
        **problems(
            "invalid_parameter",
            "unauthenticated",
            "forbidden",
            "payload_too_large",
            "unsupported_media_type",
            "unavailable",
        ),
    },
)
async def write(services: Given, video_id: VideoIdInPath, data: VideoInBody) -> ASGIResponse:
    """Put a video."""
    catalogue = services.catalogue
    stored, added = await catalogue.put(video_of(VideoId(video_id), data))
    body = details(stored, catalogue.popularity_of(stored.video.id))
    return json(body, 201 if added else 200)


@delete(
    "/videos/{video_id:str}",
    guards=[may("catalogue.write")],
    summary="Take a video down",
    description=(
        "On no list, cached ones included, within a second. The video stays in the catalogue and "
        "can be put back; taking it down again is 204 too. An id that never was is a 404, so that "
        "a slip of the pen does not look like a take-down."
    ),
    operation_id="take_video_down",
    tags=["catalogue"],
    security=BEARER,
    responses=problems(
        "invalid_parameter", "unauthenticated", "forbidden", "content_not_found", "unavailable"
    ),
)
async def take_down(services: Given, video_id: VideoIdInPath) -> None:
    """Take it off every list."""
    await services.catalogue.take_down(VideoId(video_id))


HANDLERS = (read, write, take_down)
