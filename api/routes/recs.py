"""GET /recs/{user_id}: what a user may like next."""

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter
from litestar.response.base import ASGIResponse

from api.guards import may
from api.openapi import BEARER, answer, problems
from api.routes.common import Given, Limit, UserIdInPath, json
from api.routes.examples import USER_LIST
from api.schemas import UserList
from core.types import ListType, UserId

TypeOfList = Annotated[ListType, QueryParameter(name="type", description="Which list.")]


@get(
    "/recs/{user_id:str}",
    guards=[may("lists")],
    summary="A user's list",
    description="Someone nobody has seen before gets a cold-start list.",
    operation_id="get_recommendations",
    tags=["lists"],
    security=BEARER,
    responses={
        200: answer(UserList, "The list; its order is the recommendation.", USER_LIST),
        **problems("invalid_parameter", "unauthenticated", "forbidden"),
    },
)
async def recommendations(
    services: Given,
    user_id: UserIdInPath,
    limit: Limit = 10,
    type: TypeOfList = "personalized",  # noqa: A002 - the contract's name, also in problems
) -> ASGIResponse:
    """The first `limit` of the list; never 5xx, whatever is away."""
    return json(await services.recommender.recommend(UserId(user_id), limit, type))


HANDLERS = (recommendations,)
