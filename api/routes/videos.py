"""GET /videos/{video_id}/similar: more of the same."""

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter
from litestar.response.base import ASGIResponse

from api.guards import may, may_act_for
from api.openapi import BEARER, answer, problems
from api.routes.common import Caller, Given, Limit, VideoIdInPath, json
from api.routes.examples import SIMILAR_LIST
from api.routes.narrowing import Exclude, Genres, MaxMaturity, Region, filters_of
from api.schemas import ID_PATTERN, SimilarList
from core.types import UserId, VideoId

ForUser = Annotated[
    str | None,
    QueryParameter(
        name="for_user",
        pattern=ID_PATTERN,
        description="A user whose watched videos are left out; `user` tokens: themselves.",
    ),
]


@get(
    "/videos/{video_id:str}/similar",
    guards=[may("videos")],
    summary="Videos like one",
    description=(
        "At once for a video that is new: by genre, creator and language until its text is "
        "encoded, which `degraded` says with `content_vector`."
    ),
    operation_id="get_similar_videos",
    tags=["lists"],
    security=BEARER,
    responses={
        200: answer(SimilarList, "The most similar first.", SIMILAR_LIST),
        **problems("invalid_parameter", "unauthenticated", "forbidden", "content_not_found"),
    },
)
async def similar(
    services: Given,
    caller: Caller,
    video_id: VideoIdInPath,
    *,
    limit: Limit = 10,
    genre: Genres = None,
    region: Region = None,
    max_maturity: MaxMaturity = None,
    exclude: Exclude = None,
    for_user: ForUser = None,
) -> ASGIResponse:
    """The first `limit`; never 5xx, whatever is away."""
    if for_user is not None:
        may_act_for(caller, for_user)
    body = await services.recommender.similar(
        VideoId(video_id),
        limit,
        filters=filters_of(genre, region, max_maturity, exclude),
        for_user=None if for_user is None else UserId(for_user),
    )
    return json(body)


HANDLERS = (similar,)
