"""Errors as RFC 9457 problems: one table from our codes, one from the framework's statuses."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from api.request_id import request_id
from core.errors import Interrupted, InvalidInput, RateLimited, Unavailable, UpnextError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "1"

STATUS: Mapping[str, int] = {
    "invalid_parameter": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "user_not_found": 404,
    "content_not_found": 404,
    "model_not_found": 404,
    "job_not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "rate_limited": 429,
    "internal": 500,
    "unavailable": 503,
}
TITLE: Mapping[str, str] = {
    "invalid_parameter": "Something sent is not valid",
    "unauthenticated": "No valid token",
    "forbidden": "Not allowed",
    "not_found": "No such thing",
    "user_not_found": "No such user",
    "content_not_found": "No such video",
    "model_not_found": "No such model",
    "job_not_found": "No such job",
    "method_not_allowed": "Not with this method",
    "conflict": "Not in this state",
    "payload_too_large": "Too large",
    "unsupported_media_type": "Not a media type this reads",
    "rate_limited": "Too many requests",
    "internal": "A fault of ours",
    "unavailable": "Not now",
}
# The framework's own refusals; any other status below 500 is something invalid.
_CODE_OF_STATUS: Mapping[int, str] = {
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    415: "unsupported_media_type",
}
_DETAIL: Mapping[str, str] = {
    "not_found": "There is nothing at this path.",
    "method_not_allowed": "This path does not answer that method.",
    "internal": "Something went wrong here; the request id helps us find it.",
}

log = structlog.get_logger(__name__)


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one parameter or body field."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every error, `application/problem+json`."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[FieldError] = []


def on_our_error(request: Request[Any, Any, Any], error: UpnextError) -> Response[bytes]:
    """An error of ours, by its code."""
    code = error.code if error.code in STATUS else "internal"
    if code == "internal":
        return on_fault(request, error)
    detail = str(error)
    errors = []
    if isinstance(error, InvalidInput) and error.field:
        errors = [FieldError(error.field, detail)]
    if isinstance(error, Unavailable):
        log.warning(
            "unavailable",
            request_id=request_id(request.scope),
            dependency=error.dependency,
            reason=detail,
        )
        if not isinstance(error, Interrupted):
            detail = "Something this needs does not answer; try again in a moment."
    headers = _headers(code)
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after)
    return _answer(request, code, detail, errors=errors, headers=headers)


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """A refusal by the framework: no such path, a wrong method, an unreadable body."""
    if error.status_code >= 500:  # noqa: PLR2004 - the class of faults
        return on_fault(request, error)
    code = _CODE_OF_STATUS.get(error.status_code, "invalid_parameter")
    errors = _field_errors(error.extra)
    detail = _DETAIL.get(code) or _detail(error.detail, errors)
    headers = {**(error.headers or {}), **_headers(code)}
    return _answer(request, code, detail, errors=errors, headers=headers)


def on_fault(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Anything unexpected: the reader gets nothing of what is inside, the log gets all of it."""
    log.error(
        "fault",
        request_id=request_id(request.scope),
        method=request.method,
        route=request.scope.get("path_template", "none"),
        user=request.scope.get("path_params", {}).get("user_id"),
        exc_info=error,
    )
    return _answer(request, "internal", _DETAIL["internal"], errors=[], headers={})


def _field_errors(extra: Any) -> list[FieldError]:  # noqa: ANN401 - as the framework types it
    """The framework's list of `{key, message}` as ours."""
    if not isinstance(extra, list):
        return []
    return [
        FieldError(str(item.get("key", "")), str(item.get("message", "")))
        for item in extra
        if isinstance(item, dict)
    ]


def _detail(given: str, errors: Sequence[FieldError]) -> str:
    """One sentence: the first field's, for the framework's own names the handler's method."""
    if errors:
        return f"{errors[0].field or 'The body'}: {errors[0].message}"
    return f"What was sent cannot be read: {given}"


def _path(request: Request[Any, Any, Any]) -> str:
    """The path that was asked for, quoted. The framework's own URL needs a query in UTF-8."""
    return quote(request.scope["path"], safe="/:@+=~", errors="replace")


def _headers(code: str) -> dict[str, str]:
    if code == "unauthenticated":
        return {"WWW-Authenticate": "Bearer"}
    if code == "unavailable":
        return {"Retry-After": RETRY_AFTER_SECONDS}
    return {}


def _answer(
    request: Request[Any, Any, Any],
    code: str,
    detail: str,
    *,
    errors: list[FieldError],
    headers: Mapping[str, str],
) -> Response[bytes]:
    """The problem as a response."""
    problem = Problem(
        type=f"urn:upnext:problem:{code}",
        title=TITLE[code],
        status=STATUS[code],
        detail=detail,
        instance=_path(request),
        code=code,
        request_id=request_id(request.scope),
        errors=errors,
    )
    return Response(
        msgspec.json.encode(problem),
        status_code=STATUS[code],
        media_type=MEDIA_TYPE,
        headers=dict(headers),
    )
