"""Catalogues and histories as NDJSON, line by line as they arrive."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from litestar import Request, post
from litestar.exceptions import ClientException
from litestar.openapi.spec import Example, OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.response.base import ASGIResponse

from api.guards import may
from api.openapi import BEARER, answer, problems
from api.routes.common import Given, json
from api.schemas_imports import ImportReport
from api.strict import arriving

MEDIA_TYPE = "application/x-ndjson"

_REPORT: dict[str, Any] = {
    "accepted": 998,
    "duplicates": 1,
    "rejected": 1,
    "errors": [{"line": 3, "reason": "title is empty"}],
}
_VIDEOS = '{"id":"42","title":"The Long Way Down","genres":["drama"]}\n'
_EVENTS = (
    '{"event_id":"e-1","user_id":"7","video_id":"42","occurred_at":"2026-01-01T00:00:00Z",'
    '"watched_seconds":600,"video_seconds":900}\n'
)
_PROBLEMS = problems(
    "invalid_parameter", "unauthenticated", "forbidden", "unsupported_media_type", "unavailable"
)
_HOW = (
    "Read as it arrives and committed every 1,000 lines: what was committed before the connection "
    "broke stays, and sending it again changes nothing. A bad line never drops a good one."
)


@dataclass
class _Lines(Operation):
    """An operation whose body is a stream of lines, which no parameter of the handler shows."""

    example = ""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            required=True,
            content={
                MEDIA_TYPE: OpenAPIMediaType(
                    schema=Schema(type=OpenAPIType.STRING, description="One JSON object a line."),
                    examples={"lines": Example(summary="One line", value=self.example)},
                )
            },
        )


@dataclass
class _VideoLines(_Lines):
    example = _VIDEOS


@dataclass
class _EventLines(_Lines):
    example = _EVENTS


@post(
    "/videos/import",
    guards=[may("catalogue.write")],
    status_code=200,
    summary="Import videos",
    description=f"One video a line: the fields of PUT /videos/{{id}}, and `id`. {_HOW}",
    operation_id="import_videos",
    operation_class=_VideoLines,
    tags=["catalogue"],
    security=BEARER,
    request_max_body_size=None,
    responses={200: answer(ImportReport, "What became of the lines.", _REPORT), **_PROBLEMS},
)
async def videos(services: Given, request: Request[Any, Any, Any]) -> ASGIResponse:
    """Read the lines into the catalogue."""
    return json(await services.imports.videos(_pieces(request)))


@post(
    "/events/import",
    guards=[may("events.import")],
    status_code=200,
    summary="Import watches and ratings",
    description=(
        "One event a line: a CloudEvent, or a flat row, which is named by its `event_id`, else by "
        f"its user, video, kind and time. {_HOW}"
    ),
    operation_id="import_events",
    operation_class=_EventLines,
    tags=["watching"],
    security=BEARER,
    request_max_body_size=None,
    responses={200: answer(ImportReport, "What became of the lines.", _REPORT), **_PROBLEMS},
)
async def events(services: Given, request: Request[Any, Any, Any]) -> ASGIResponse:
    """Read the lines into the histories."""
    return json(await services.imports.events(_pieces(request)))


def _pieces(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises `ClientException`: it is not said to be NDJSON."""
    if request.content_type[0] != MEDIA_TYPE:
        raise ClientException(f"Send the body as {MEDIA_TYPE}.", status_code=415)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise ClientException("Send the body as it is, not compressed.", status_code=415)
    return _arriving(request)


async def _arriving(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    with arriving():
        async for piece in request.stream():
            yield piece


HANDLERS = (videos, events)
