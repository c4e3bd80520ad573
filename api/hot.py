"""The thin path: finished answers of users' own lists, sent without entering the framework.

It stands before all else and answers only what it is sure of: a token that was checked lately, a
role that allows it, a finished answer that still holds, and one left of the caller's limit.
Whatever else comes goes on untouched to the handlers, which are the contract; what is sent here
is what they have sent before.
"""

from time import perf_counter
from typing import Any

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, HTTPResponseStartEvent, Receive, Scope, Send

from api.answers import Asked
from api.auth import Principal, TokenVerifier
from api.cursors import START
from api.guards import RULES
from api.limit_account import Header, Verdict
from api.local_lists import Answer
from api.observing import Observing, begin, observed_elsewhere, write
from api.request_id import request_id
from api.routes.common import encode
from api.services import Services
from core.errors import RateLimited
from core.metrics import LISTS, REQUEST_SECONDS
from core.types import UserId

_RULE = RULES["lists"]
_JSON: Header = (b"content-type", b"application/json")
_PERSONAL = b"type=personalized"
_LIMITS = {b"limit=%d" % limit: limit for limit in range(1, 101)}
_ROUTES: dict[str, dict[bytes, int]] = {
    "/recs/{user_id}": {
        b"": 10,
        _PERSONAL: 10,
        **_LIMITS,
        **{query + b"&" + _PERSONAL: limit for query, limit in _LIMITS.items()},
        **{_PERSONAL + b"&" + query: limit for query, limit in _LIMITS.items()},
    },
    "/users/{user_id}/recommendations": {b"": 10, **_LIMITS},
}
"""The routes that have finished answers; which queries ask for one, and of how many videos."""
_NO_QUERIES: dict[bytes, int] = {}
_SECONDS = {route: REQUEST_SECONDS.labels(route, "200") for route in _ROUTES}
_LOCAL = LISTS.labels("local")


async def answered(services: Services, asked: Asked, *, must_exist: bool = False) -> ASGIResponse:
    """What the handlers answer; one from a kept list is left for the next who asks."""
    before = services.moment()
    body = await services.recommender.recommend(asked, must_exist=must_exist)
    encoded = encode(body)
    if asked.plain and asked.walk is START:
        services.local.put_answer(body, asked.limit, encoded, before, services.moment())
    return ASGIResponse(body=encoded, media_type="application/json")


class HotPath(ASGIMiddleware):
    """Answers from what this process keeps; `services` are there while the application runs."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, verifier: TokenVerifier, observing: Observing) -> None:
        self.services: Services | None = None
        self._verifier = verifier
        self._observing = observing

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Answer, or pass the request on."""
        began = perf_counter()
        found = self._found(scope)
        verdict = await self._counted(scope, *found) if found else None
        if found is None or verdict is None:
            begin(scope, began)
            await next_app(scope, receive, send)
            return
        answer, principal = found
        observed_elsewhere(scope)
        start: HTTPResponseStartEvent = {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                _JSON,
                (b"content-length", answer.length),
                (b"x-request-id", request_id(scope).encode()),
                *verdict.headers,
            ],
        }
        await send(start)
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})
        self._count(scope, answer, principal, perf_counter() - began)

    async def _counted(self, scope: Any, answer: Answer, principal: Principal) -> Verdict | None:  # noqa: ANN401
        """An answer of the caller's limit; None: let the handlers decide, who count it only once.

        Waiting for the ledger here spares the framework's time, but what was found may be gone
        by then.
        """
        if self.services is None:
            return None
        limiter = self.services.limiter
        if (verdict := limiter.take(principal)) is not None:
            return verdict
        try:
            verdict = await limiter.count(principal, scope["state"])
        except RateLimited:
            return None
        return verdict if self._found(scope) == (answer, principal) else None

    def _found(self, scope: Any) -> tuple[Answer, Principal] | None:  # noqa: ANN401
        """The finished answer, and who may have it; None: let the handlers decide."""
        limit = _ROUTES.get(scope["path_template"], _NO_QUERIES).get(scope["query_string"])
        services = self.services
        if limit is None or services is None or scope["method"] != "GET":
            return None
        user_id = scope["path_params"]["user_id"]
        answer = services.local.answer(UserId(user_id), limit)
        if answer is None or not answer.holds(services.moment()):
            return None
        token = _token(scope)
        principal = self._verifier.known(token) if token else None
        if principal is None or not _RULE.allows(principal, user_id):
            return None
        return answer, principal

    def _count(self, scope: Scope, answer: Answer, principal: Principal, seconds: float) -> None:
        if self.services is not None:
            self.services.impressions.count(answer.shown)
        _SECONDS[scope["path_template"]].observe(seconds)
        _LOCAL.inc()
        if self._observing.sampled():
            shown = answer.shown
            write(
                scope, 200, seconds, principal.sub, cache="local", model_version=shown.model_version
            )


def _token(scope: Scope) -> str | None:
    """The bearer token; None when there is not one alone in the plainest form."""
    found = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if found is not None or not value.startswith(b"Bearer "):
                return None
            found = value[7:]
    return found.decode("latin-1") if found else None
