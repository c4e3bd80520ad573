"""Jobs: many users' lists at once, how far they are, and what they made."""

from typing import Annotated, Any

from litestar import get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter
from litestar.response import Response, Stream
from litestar.response.base import ASGIResponse

from api.guards import may
from api.jobs import blocks
from api.openapi import BEARER, answer, problems
from api.routes.common import Caller, Given, json
from api.schemas import ID_PATTERN
from api.schemas_jobs import (
    BATCH_JOB_EXAMPLE,
    JOB_EXAMPLE,
    LINE_EXAMPLE,
    BatchJobBody,
    JobBody,
    job_body,
)
from core.errors import InvalidInput
from core.jobs import Job
from core.types import UserId
from ingest.checks import check_user_id

NDJSON = "application/x-ndjson"
MAX_BODY_BYTES = 16 * 1024 * 1024  # 100,000 ids of the longest form

JobIdInPath = Annotated[
    str, PathParameter(pattern=ID_PATTERN, description="The job's id.", title="Job id")
]
BatchJobInBody = Annotated[
    BatchJobBody,
    Body(
        examples=[
            Example(summary="Everybody who was here lately", value=BATCH_JOB_EXAMPLE),
            Example(summary="These users", value={"user_ids": ["7", "10"], "limit": 10}),
        ]
    ),
]
_REFUSED = ("invalid_parameter", "unauthenticated", "forbidden", "unavailable")


@post(
    "/recommendations/batch/jobs",
    guards=[may("batch")],
    status_code=202,
    request_max_body_size=MAX_BODY_BYTES,
    summary="Have many users' lists made",
    description=(
        "Either `user_ids`, at most 100,000, or `all`. A user without a list is counted in "
        "`failed` and has no line in the result."
    ),
    operation_id="ask_for_batch",
    tags=["jobs"],
    security=BEARER,
    responses={
        202: answer(JobBody, "Queued; `Location` is where to look.", JOB_EXAMPLE),
        **problems(*_REFUSED, "payload_too_large", "unsupported_media_type"),
    },
)
async def ask(services: Given, caller: Caller, data: BatchJobInBody) -> ASGIResponse:
    """Queue a batch."""
    users = _users(data)
    job = await services.jobs.make_lists(caller, data.limit, users, data.active_within_days)
    return accepted(job)


@get(
    "/jobs/{job_id:str}",
    guards=[may("jobs")],
    summary="A job",
    description="A service sees its own.",
    operation_id="get_job",
    tags=["jobs"],
    security=BEARER,
    responses={
        200: answer(JobBody, "The job.", JOB_EXAMPLE),
        **problems(*_REFUSED, "job_not_found"),
    },
)
async def one(services: Given, caller: Caller, job_id: JobIdInPath) -> ASGIResponse:
    """How far a job is."""
    return json(job_body(await services.jobs.get(caller, job_id)))


@get(
    "/jobs/{job_id:str}/result",
    guards=[may("jobs")],
    summary="What a job made",
    description=(
        "Newline-delimited JSON, a line for each user, streamed; or a redirect to where the "
        "artifact store gives it. It is kept for `UPNEXT_JOB_RESULTS_DAYS`."
    ),
    operation_id="get_job_result",
    tags=["jobs"],
    security=BEARER,
    media_type=NDJSON,
    responses={
        200: ResponseSpec(
            str,
            generate_examples=False,
            description="A line for each user.",
            media_type=NDJSON,
            examples=[Example(summary="One line", value=LINE_EXAMPLE)],
        ),
        307: ResponseSpec(None, description="`Location` gives it, for five minutes."),
        **problems(*_REFUSED, "job_not_found", "not_found", "conflict"),
    },
)
async def result(services: Given, caller: Caller, job_id: JobIdInPath) -> Response[Any]:
    """The result of a job that is done."""
    made = await services.jobs.result(caller, job_id)
    if isinstance(made, str):
        return Response(b"", status_code=307, headers={"Location": made})
    return Stream(blocks(made), media_type=NDJSON)


def accepted(job: Job) -> ASGIResponse:
    """202, the job, and where to look for it."""
    body = json(job_body(job), 202)
    body.headers["Location"] = f"/jobs/{job.id}"
    return body


def _users(body: BatchJobBody) -> list[UserId] | None:
    """Whose lists are asked for, None for everybody's. Raises `InvalidInput`."""
    if (body.user_ids is None) == (body.all is None):
        raise InvalidInput("Give either user_ids or all.", field="user_ids")
    if body.user_ids is None:
        if not body.all:
            raise InvalidInput("all can only be true; or give user_ids.", field="all")
        return None
    if body.active_within_days is not None:
        raise InvalidInput("active_within_days goes with all.", field="active_within_days")
    return [check_user_id(str(user_id)) for user_id in body.user_ids]


HANDLERS = (ask, one, result)
