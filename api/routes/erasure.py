"""DELETE /users/{user_id}: everything about a user, everywhere."""

from litestar import delete
from litestar.response.base import ASGIResponse

from api.guards import may
from api.openapi import BEARER, answer, problems
from api.routes.common import Caller, Given, UserIdInPath
from api.routes.jobs import accepted
from api.schemas_jobs import ERASURE_EXAMPLE, JobBody
from core.types import UserId


@delete(
    "/users/{user_id:str}",
    guards=[may("users.erase")],
    status_code=202,
    summary="Erase a user",
    description=(
        "History, vectors, lists, state, snapshots and batch results; the `counts` of the job "
        "that is done are the receipt. What is sent about the user later, again or new, is "
        "refused. A user nobody has heard of is erased too."
    ),
    operation_id="erase_user",
    tags=["jobs"],
    security=BEARER,
    responses={
        202: answer(JobBody, "Queued; `Location` is where to look.", ERASURE_EXAMPLE),
        **problems("invalid_parameter", "unauthenticated", "forbidden", "unavailable"),
    },
)
async def erase(services: Given, caller: Caller, user_id: UserIdInPath) -> ASGIResponse:
    """Queue an erasure."""
    return accepted(await services.erasure.ask(caller, UserId(user_id)))


HANDLERS = (erase,)
