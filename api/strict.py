"""Refusals before a handler runs: parameters it does not know, bodies that are not JSON."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import ClientException, InternalServerException
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.typing import FieldDefinition

from core.errors import InvalidInput

DEEPEST = 32  # no body of the contract comes near
# A text that never ends goes to the end of the body: trying again behind each quote in it would
# take the square of its length.
_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_NAMED = re.compile(r"field `([^`]*)`$")  # one that is missing, or unknown
_BRACKETS = re.compile(rb"[\[\]{}]")


async def only_what_is_read(request: Request[Any, Any, Any]) -> None:
    """Refuse what a handler would silently ignore, a filter for one.

    Raises:
        InvalidInput: a query parameter is unknown or given twice; a body is missing or broken
            off, not UTF-8, nested beyond reason or not of the handler's type.
        ClientException: 415, a body in another form than JSON.
    """
    handler = request.scope["route_handler"]
    if not isinstance(handler, HTTPRouteHandler):
        return
    may_repeat = _query_names(handler)
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in may_repeat:
            raise InvalidInput(f"There is no parameter {name!r} here.", field=name)
        if name in seen and not may_repeat[name]:
            raise InvalidInput(f"Give {name} once.", field=name)
        seen.add(name)
    if "data" in handler.parsed_fn_signature.parameters:
        if not _is_json(request):
            raise ClientException("Send the body as application/json.", status_code=415)
        with arriving():
            body = await request.body()
        _check_text(body)
        _check_types(body, handler.parsed_fn_signature.parameters["data"].annotation)


@contextmanager
def arriving() -> Iterator[None]:
    """Read a body in this block. Raises `InvalidInput`: it ended before its end."""
    try:
        yield
    except InternalServerException as error:  # the framework's word for it
        raise InvalidInput("The connection ended before the body did.") from error


def _check_text(body: bytes) -> None:
    if not body:
        raise InvalidInput("Send a JSON object as the body.")
    if _is_deep(body):
        raise InvalidInput("The body is nested too deeply.")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("The body is not UTF-8: send JSON in UTF-8.") from error


def _check_types(body: bytes, wanted: type) -> None:
    """See that values are of their own types: the framework would read "4" as a number."""
    try:
        msgspec.json.decode(body, type=wanted)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        named = _NAMED.search(text)
        field = ".".join(filter(None, (path.strip(".`"), named and named[1])))
        raise InvalidInput(f"{field}: {text}" if field else text, field=field) from error
    except msgspec.DecodeError:
        return  # the framework says where it is broken


def _is_deep(body: bytes) -> bool:
    """Whether lists and objects stand in each other so deep that decoding may run out of stack."""
    if body.count(b"[") + body.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(_TEXTS.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEEPEST:
            return True
    return False


@cache
def _query_names(handler: HTTPRouteHandler) -> dict[str, bool]:
    """Names of the query parameters that the handler declares, and which may be repeated."""
    return {
        field.kwarg_definition.name: _is_list(field)
        for field in handler.parsed_fn_signature.parameters.values()
        if isinstance(field.kwarg_definition, QueryParameter) and field.kwarg_definition.name
    }


def _is_list(field: FieldDefinition) -> bool:
    return any(one.is_non_string_sequence for one in (field, *field.inner_types))


def _is_json(request: Request[Any, Any, Any]) -> bool:
    return request.content_type[0] == "application/json"
