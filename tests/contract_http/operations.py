"""Made-up requests for each operation of the document, and whether the answers are as it says."""

from collections.abc import Mapping
from typing import Any

import httpx
import schemathesis
from hypothesis import reject
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.openapi import document_of
from tests.asking import ADMIN, bearer
from tests.contract_http.memory import served_in_memory
from tests.serving import NAMES

SCHEMA = schemathesis.openapi.from_dict(document_of(served_in_memory()))
OPERATIONS = {
    f"{found.ok().method.upper()} {found.ok().path}": found.ok()
    for found in SCHEMA.get_all_operations()
    if isinstance(found, Ok)
}
CALLERS: Mapping[str, Mapping[str, str]] = {
    "user": bearer("ann", "user"),
    "service": bearer("shop", "service"),
    "trainer": bearer("ci", "trainer"),
    "admin": ADMIN,
    "nobody": {"Authorization": "Bearer nothing"},
}
# Half the time somebody who may do everything, else a handler is seldom reached.
DRAWN_CALLERS = ["admin", "user", "admin", "service", "admin", "trainer", "admin", "nobody"]
# Made-up ids are ids of nothing: half the time something there is is asked for.
THERE: Mapping[str, list[str]] = {
    "user_id": ["ann", "bob"],
    "video_id": NAMES[:5],
    "model_id": ["m1", "m2"],
}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_BASE = "http://service"
UNROUTED = {"not_found", "method_not_allowed"}


@schemathesis.serializer("application/x-ndjson")
def _lines(_context: Any, value: Any) -> bytes:
    """A stream of lines, which the document describes as one text."""
    return value.encode() if isinstance(value, str) else str(value).encode()


def check(client: httpx.Client, name: str, data: st.DataObject) -> None:
    """Draw a request of this operation, send it, and see that its answer is a documented one."""
    mode = data.draw(st.sampled_from(list(schemathesis.GenerationMode)))
    case = data.draw(OPERATIONS[name].as_strategy(generation_mode=mode))
    for parameter in case.path_parameters or {}:
        if data.draw(st.booleans()) and parameter in THERE:
            case.path_parameters[parameter] = data.draw(st.sampled_from(THERE[parameter]))
    headers = CALLERS[data.draw(st.sampled_from(DRAWN_CALLERS))]
    try:
        answer = client.request(**_asked(case, headers), follow_redirects=False)
    except httpx.LocalProtocolError:
        reject()  # no client can send that
    if _nowhere(answer):
        return  # the path leads to no operation: `test_odd_requests` has these
    case.validate_response(answer, checks=CHECKS)


def _asked(case: Any, headers: Mapping[str, str]) -> dict[str, Any]:
    """The case as a request of the test client."""
    asked = case.as_transport_kwargs(base_url=_BASE, headers=dict(headers))
    asked["url"] = asked["url"].removeprefix(_BASE)
    return {
        "content" if name == "data" else name: value
        for name, value in asked.items()
        if value is not None and name != "cookies"
    }


def _nowhere(answer: Any) -> bool:
    return answer.status_code in {404, 405} and answer.json()["code"] in UNROUTED
