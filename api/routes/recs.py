"""GET /recs/{user_id}: what a user may like next."""

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter
from litestar.response.base import ASGIResponse

from api.answers import Asked
from api.guards import may
from api.hot import answered
from api.openapi import BEARER, answer, problems
from api.routes.common import Given, Limit, UserIdInPath
from api.routes.examples import EXPLAINED_LIST, USER_LIST
from api.routes.narrowing import Exclude, Genres, MaxMaturity, Region, filters_of
from api.schemas import UserList
from core.types import ListType, UserId

TypeOfList = Annotated[ListType, QueryParameter(name="type", description="Which list.")]
Explain = Annotated[
    bool,
    QueryParameter(
        name="explain", description="Whether each entry tells how its score came about."
    ),
]
Cursor = Annotated[
    str | None,
    QueryParameter(
        name="cursor",
        description=(
            "The last answer's `metadata.next_cursor`, for the next page of the same list; "
            "`limit` and `explain` may differ from page to page."
        ),
    ),
]


@get(
    "/recs/{user_id:str}",
    guards=[may("lists")],
    summary="A user's list",
    description=(
        "Someone nobody has seen before gets a cold-start list. Filters act on the search, so a "
        "list is shorter than `limit` only when the catalogue has no more videos for it."
    ),
    operation_id="get_recommendations",
    tags=["lists"],
    security=BEARER,
    responses={
        200: answer(
            UserList,
            "The list; its order is the recommendation.",
            USER_LIST,
            explained=EXPLAINED_LIST,
        ),
        **problems("invalid_parameter", "unauthenticated", "forbidden"),
    },
)
async def recommendations(
    services: Given,
    user_id: UserIdInPath,
    *,
    limit: Limit = 10,
    type: TypeOfList = "personalized",  # noqa: A002 - the contract's name, also in problems
    genre: Genres = None,
    region: Region = None,
    max_maturity: MaxMaturity = None,
    exclude: Exclude = None,
    explain: Explain = False,
    cursor: Cursor = None,
) -> ASGIResponse:
    """The first `limit` of the list; never 5xx, whatever is away."""
    filters = filters_of(genre, region, max_maturity, exclude)
    asked = Asked(UserId(user_id), limit, type, filters, explain).after(cursor)
    return await answered(services, asked)


HANDLERS = (recommendations,)
