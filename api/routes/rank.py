"""POST /recs/rank: a caller's own candidates in the order in which a user may like them."""

from typing import Annotated

from litestar import post
from litestar.openapi.spec import Example
from litestar.params import Body
from litestar.response.base import ASGIResponse

from api.guards import may, may_act_for
from api.openapi import BEARER, answer, problems
from api.routes.common import Caller, Given, json
from api.routes.examples import RANK, RANKED_LIST
from api.schemas_rank import RankBody, RankedList
from core.types import UserId, VideoId
from ingest.checks import check_id

MAX_BODY_BYTES = 256 * 1024  # 1,000 ids of 128 characters take half of it
RankInBody = Annotated[RankBody, Body(examples=[Example(summary="Candidates", value=RANK)])]


@post(
    "/recs/rank",
    guards=[may("lists.any")],
    status_code=200,
    request_max_body_size=MAX_BODY_BYTES,
    summary="Rank given videos for a user",
    description=(
        "The caller's own candidates, ranked as the user's own list is. What the user has "
        "watched and what may not be shown is left out; ids that the catalogue does not have are "
        "in `metadata.unknown`."
    ),
    operation_id="rank_videos",
    tags=["lists"],
    security=BEARER,
    responses={
        200: answer(RankedList, "Those that may be shown, best first.", RANKED_LIST),
        **problems(
            "invalid_parameter",
            "unauthenticated",
            "forbidden",
            "payload_too_large",
            "unsupported_media_type",
        ),
    },
)
async def rank(services: Given, caller: Caller, data: RankInBody) -> ASGIResponse:
    """The first `limit`; never 5xx, whatever is away."""
    user_id = UserId(check_id(str(data.user_id), "user_id"))
    may_act_for(caller, user_id)
    candidates = [VideoId(check_id(str(id_), "content_ids")) for id_ in data.content_ids]
    body = await services.recommender.rank(user_id, candidates, data.limit, explain=data.explain)
    return json(body)


HANDLERS = (rank,)
