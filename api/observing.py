"""What is measured of each answer, and its line in the log.

A cached 200 is always counted and seldom logged: a line costs more than the answer itself.
"""

from random import random
from time import perf_counter
from typing import Any

import structlog
from litestar.types import Scope
from structlog.contextvars import clear_contextvars, get_contextvars

from api.request_id import request_id
from core.metrics import LIMITED, REQUEST_SECONDS

_BEGAN = "began"
_OK, _TOO_MANY = 200, 429

log = structlog.get_logger("upnext.access")


def begin(scope: Scope, at: float) -> None:
    """A request begins; `at` is of `perf_counter`."""
    scope["state"][_BEGAN] = at
    clear_contextvars()


class Observing:
    """Observes answers as they begin; `sample` is the share of cached 200s that are logged."""

    def __init__(self, sample: float) -> None:
        self._sample = sample

    def sampled(self) -> bool:
        """Whether this cached 200 is one to log."""
        return random() < self._sample  # noqa: S311 - nobody is to be kept from guessing it

    def begins(self, scope: Scope, status: int) -> None:
        """The answer begins."""
        seconds = perf_counter() - scope["state"][_BEGAN]
        route = scope.get("path_template", "none")
        REQUEST_SECONDS.labels(route, str(status)).observe(seconds)
        caller = scope["state"].get("caller")
        if status == _TOO_MANY and caller is not None:
            LIMITED.labels(min(caller.roles, default="none")).inc()
        cached = status == _OK and get_contextvars().get("cache", "miss") != "miss"
        if not cached or self.sampled():
            write(scope, status, seconds, None if caller is None else caller.sub)


def write(scope: Any, status: int, seconds: float, sub: str | None, **more: Any) -> None:  # noqa: ANN401 - a scope has many names
    """One line: never a path, which may be anything, never a token, never a body."""
    log.info(
        "request",
        request_id=request_id(scope),
        method=scope["method"],
        route=scope.get("path_template", "none"),
        user=scope.get("path_params", {}).get("user_id"),
        sub=sub,
        status_code=status,
        nanoseconds=round(seconds * 1e9),
        **more,
    )
