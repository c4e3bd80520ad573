"""The list of a known user."""

from litestar import get
from litestar.response.base import ASGIResponse

from api.answers import Asked
from api.guards import may
from api.hot import answered
from api.openapi import BEARER, answer, problems
from api.routes.common import Given, Limit, UserIdInPath
from api.routes.examples import USER_LIST
from api.schemas import UserList
from core.types import UserId


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
    asked = Asked(UserId(user_id), limit)
    return await answered(services, asked, must_exist=True)


HANDLERS = (recommendations,)
