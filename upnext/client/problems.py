"""What the service refuses, as exceptions; each carries the problem that was answered.

Refused
├── InvalidParameter      400
├── Unauthenticated       401
├── Forbidden             403
├── NotFound              404
│   ├── UserNotFound
│   ├── ContentNotFound
│   ├── ModelNotFound
│   └── JobNotFound
├── Conflict              409
├── PayloadTooLarge       413
├── UnsupportedMediaType  415
├── RateLimited           429  `retry_after` seconds on there are more answers
├── Unavailable           503  as above
├── Unreadable            an answer below 400 that is not what the contract says
└── Fault                 any other answer of 500 or more
"""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one parameter or body field."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An RFC 9457 problem, as the service answers them."""

    type: str = "about:blank"
    title: str = ""
    status: int
    detail: str = ""
    instance: str = ""
    code: str = ""
    request_id: str = ""
    errors: tuple[FieldError, ...] = ()


class Refused(Exception):
    """The service did not do what was asked. `problem` says why."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail or problem.title}")
        self.problem = problem
        self.retry_after = retry_after


class InvalidParameter(Refused):
    """A parameter or a body field breaks a rule; `problem.errors` names it."""


class Unauthenticated(Refused):
    """The token is missing, not valid or out of date."""


class Forbidden(Refused):
    """The roles of the token do not allow this."""


class NotFound(Refused):
    """There is no such thing."""


class UserNotFound(NotFound):
    """The service has never heard of this user."""


class ContentNotFound(NotFound):
    """The catalogue does not have this video."""


class ModelNotFound(NotFound):
    """There is no such model."""


class JobNotFound(NotFound):
    """There is no such job, or it is somebody else's."""


class Conflict(Refused):
    """The state does not allow this, or it has changed meanwhile."""


class PayloadTooLarge(Refused):
    """The body is larger than the service reads."""


class UnsupportedMediaType(Refused):
    """The body is of a kind that the service does not read here."""


class RateLimited(Refused):
    """There were too many requests; `retry_after` seconds on there may be more."""


class Unavailable(Refused):
    """Something the service needs does not answer; trying again helps."""


class Unreadable(Refused):
    """An answer came that the service does not give; it may have done what was asked."""


class Fault(Refused):
    """The service, or something before it, failed."""


_BY_CODE: dict[str, type[Refused]] = {
    "invalid_parameter": InvalidParameter,
    "unauthenticated": Unauthenticated,
    "forbidden": Forbidden,
    "not_found": NotFound,
    "user_not_found": UserNotFound,
    "content_not_found": ContentNotFound,
    "model_not_found": ModelNotFound,
    "job_not_found": JobNotFound,
    "conflict": Conflict,
    "payload_too_large": PayloadTooLarge,
    "unsupported_media_type": UnsupportedMediaType,
    "rate_limited": RateLimited,
    "unavailable": Unavailable,
}
_BY_STATUS: dict[int, type[Refused]] = {429: RateLimited, 503: Unavailable}
_FAULTS = 500


def refusal(answer: httpx.Response) -> Refused:
    """The exception for an answer that is not a good one. Its body must have been read."""
    problem = _problem(answer)
    kind = _BY_CODE.get(problem.code) or _BY_STATUS.get(answer.status_code)
    if kind is None:
        kind = Fault if answer.status_code >= _FAULTS else Refused
    return kind(problem, _seconds(answer.headers.get("retry-after", "")))


@contextmanager
def reading(answer: httpx.Response) -> Iterator[None]:
    """Decode an answer below 400 in the block. Raises `Unreadable`: it is a proxy's page."""
    try:
        yield
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        detail = f"The body is not what the contract says: {error}"
        problem = Problem(status=answer.status_code, title=answer.reason_phrase, detail=detail)
        raise Unreadable(problem) from error


def _problem(answer: httpx.Response) -> Problem:
    """What the service says, or what can be said of an answer that something before it gave."""
    try:
        return msgspec.json.decode(answer.content, type=Problem)
    except msgspec.DecodeError:
        return Problem(status=answer.status_code, title=answer.reason_phrase)


def _seconds(header: str) -> float | None:
    return float(header) if header.isdecimal() else None
