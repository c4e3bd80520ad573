"""The error tree. Nothing here knows HTTP; each error knows its code and whether a retry helps.

UpnextError
├── InvalidInput            invalid_parameter   the caller must change something
├── Unauthenticated         unauthenticated
├── Forbidden               forbidden
├── NotFound                not_found
│   ├── UserNotFound        user_not_found
│   ├── VideoNotFound       content_not_found
│   ├── ModelNotFound       model_not_found
│   └── JobNotFound         job_not_found
├── Conflict                conflict            the state does not allow it
├── RateLimited             rate_limited        too many answers in a minute; later is fine
├── Unavailable             unavailable         a dependency is away; a retry helps
│   ├── PartlyAway          unavailable         a part of it is: the rest was done
│   └── Interrupted         unavailable         it went away when a part was done
└── SetupError              setup               a person has to do something on this machine
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class UpnextError(Exception):
    """An error of ours: the message is for the reader and says what to do."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False


class InvalidInput(UpnextError):
    """The input breaks a rule. `field` names the parameter or body field at fault."""

    code = "invalid_parameter"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Unauthenticated(UpnextError):
    """No valid token came with the request."""

    code = "unauthenticated"


class Forbidden(UpnextError):
    """The token's roles do not allow this."""

    code = "forbidden"


class NotFound(UpnextError):
    """There is no such thing."""

    code = "not_found"


class UserNotFound(NotFound):
    """The service has never heard of this user."""

    code = "user_not_found"


class VideoNotFound(NotFound):
    """The catalogue does not have this video."""

    code = "content_not_found"


class ModelNotFound(NotFound):
    """The registry does not have this model."""

    code = "model_not_found"


class JobNotFound(NotFound):
    """There is no such job, or it is another service's."""

    code = "job_not_found"


class RateLimited(UpnextError):
    """The caller has had its answers of this minute; `retry_after` seconds on there are more."""

    code = "rate_limited"
    retryable = True

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(UpnextError):
    """The thing is in a state that does not allow this."""

    code = "conflict"


class Unavailable(UpnextError):
    """A dependency did not answer. `dependency` is its name in `/health`."""

    code = "unavailable"
    retryable = True

    def __init__(self, dependency: str, message: str = "") -> None:
        super().__init__(message or f"{dependency} did not answer")
        self.dependency = dependency


class PartlyAway(Unavailable):
    """A part of a dependency did not answer, such as a node of a cluster.

    `done` has what the others did, by what it was asked of.
    """

    def __init__(self, dependency: str, done: Mapping[Any, Any], message: str = "") -> None:
        super().__init__(dependency, message or f"A part of {dependency} did not answer")
        self.done = done


class Interrupted(Unavailable):
    """A dependency went away half-way: the message says what is done, and is for everyone."""


class SetupError(UpnextError):
    """Something on this machine needs a person: the message says what and how to mend it."""

    code = "setup"
