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
        sent = next((v for k, v in scope["headers"] if k.lower() == b"x-request-id"), b"")
        state[_HEADER] = sent.decode() if sent and _SANE.fullmatch(sent) else _new()
    name: str = state[_HEADER]
    return name


def _new() -> str:
    return f"{getrandbits(128):032x}"  # a name, not a secret: a tenth of what a UUID costs


async def send_request_id(message: Message, scope: Scope) -> None:
    """Put the id on every response, those of the router itself included."""
    if message["type"] == "http.response.start":
        MutableScopeHeaders.from_message(message)[_HEADER] = request_id(scope)
