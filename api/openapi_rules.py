"""What holds for every operation of the document, so that no route has to say it again."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Schema = dict[str, Any]
ProblemAnswer = Callable[[str], tuple[int, Schema]]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}


def _header(description: str, schema: Schema) -> Schema:
    return {"description": description, "schema": schema}


REQUEST_ID = _header("The request's name in our logs: yours, if you sent a sane one.", _TEXT)
RETRY_AFTER = _header("Seconds after which it is worth to ask again.", _COUNT)
LOCATION = _header("Where to follow what was begun.", _TEXT)
CHALLENGE = _header("`Bearer`.", _TEXT)
LIMITED: Mapping[str, Schema] = {
    "RateLimit-Limit": _header("Answers in 60 seconds, where the caller is limited.", _COUNT),
    "RateLimit-Remaining": _header("How many of them are left.", _COUNT),
    "RateLimit-Reset": _header("Seconds until there are all of them again.", _COUNT),
}


def complete(document: Schema, problem: ProblemAnswer) -> Schema:
    """The document with what every operation answers and every answer carries.

    `problem(code)` gives a problem's status and its response object. Everyone may be told
    that a parameter is not known (400); who needs a token, that it is missing, does not allow this,
    or has had its answers (401, 403, 429); who sends a body, that it is too large or of another
    kind (413, 415). Answers that a route describes itself are left as they are.
    """
    for operation in _operations(document):
        for code in _codes(operation):
            status, answer = problem(code)
            operation["responses"].setdefault(str(status), answer)
        operation["responses"] = dict(sorted(operation["responses"].items()))
        for name, answer in operation["responses"].items():
            known = _headers(int(name), guarded="security" in operation)
            answer["headers"] = {**known, **answer.get("headers", {})}
    return document


def _operations(document: Schema) -> Iterator[Schema]:
    for methods in document["paths"].values():
        yield from (entry for entry in methods.values() if "responses" in entry)


def _codes(operation: Schema) -> Iterator[str]:
    yield "invalid_parameter"
    if "security" in operation:
        yield from ("unauthenticated", "forbidden", "rate_limited")
    if "requestBody" in operation:
        yield "unsupported_media_type"
        if "application/json" in operation["requestBody"]["content"]:
            yield "payload_too_large"  # streams of lines have no end that is too far


def _headers(status: int, *, guarded: bool) -> Schema:
    """Headers of an answer with this status."""
    headers: Schema = {"X-Request-ID": REQUEST_ID}
    if status in {202, 307}:
        headers["Location"] = LOCATION
    if status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = CHALLENGE
    if status in {429, 503}:
        headers["Retry-After"] = RETRY_AFTER
    if guarded and status not in {401, 403}:
        headers.update(LIMITED)
    return headers
