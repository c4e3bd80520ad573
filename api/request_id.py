"""A name for each request: the caller's own when it is a sane one, else a new one."""

import re
from random import getrandbits
from typing import Any

from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope

_SANE = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")
_HEADER = "x-request-id"


def request_id(scope: Any) -> str:  # noqa: ANN401 - the framework has many names for a scope
    """The request's id, made when first asked for."""
    state: dict[str, Any] = scope["state"]
    if _HEADER not in state:
        state[_HEADER] = _sent(scope["headers"]) or _new()
    name: str = state[_HEADER]
    return name


def _sent(headers: Any) -> str | None:  # noqa: ANN401 - pairs, as servers have them
    for name, value in headers:
        if name == b"x-request-id":
            return value.decode() if _SANE.fullmatch(value) else None
    return None


def _new() -> str:
    return f"{getrandbits(128):032x}"  # a name, not a secret: a tenth of what a UUID costs


async def send_request_id(message: Message, scope: Scope) -> None:
    """Put the id on every response, those of the router itself included."""
    if message["type"] == "http.response.start":
        MutableScopeHeaders.from_message(message)[_HEADER] = request_id(scope)
