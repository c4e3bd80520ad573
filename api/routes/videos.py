"""GET /videos/{video_id}/similar: more of the same."""

from litestar import get
from litestar.response.base import ASGIResponse

from api.guards import may
from api.openapi import BEARER, answer, problems
from api.routes.common import Given, Limit, VideoIdInPath, json
from api.routes.examples import SIMILAR_LIST
from api.schemas import SimilarList
from core.types import VideoId


@get(
    "/videos/{video_id:str}/similar",
    guards=[may("videos")],
    summary="Videos like one",
    operation_id="get_similar_videos",
    tags=["lists"],
    security=BEARER,
    responses={
        200: answer(SimilarList, "The most similar first.", SIMILAR_LIST),
        **problems("invalid_parameter", "unauthenticated", "forbidden", "content_not_found"),
    },
)
async def similar(services: Given, video_id: VideoIdInPath, limit: Limit = 10) -> ASGIResponse:
    """The first `limit`."""
    return json(await services.recommender.similar(VideoId(video_id), limit))


HANDLERS = (similar,)
