"""The thin path: finished answers of users' own lists, sent without entering the framework.

It stands before the framework and answers only what it is sure of: a token that was checked
lately, a role that allows it, a finished answer that still holds, and one left of the caller's
limit. Whatever else comes goes on untouched to the handlers, which are the contract; what is sent
here is what they have sent before.
"""

from collections.abc import Collection
from time import perf_counter
from typing import Any

from litestar.response.base import ASGIResponse
from litestar.types import HTTPResponseStartEvent, Scope, Send

from api.answers import Asked
from api.auth import Principal, TokenVerifier
from api.cursors import START
from api.guards import RULES
from api.limit_account import Header, Verdict
from api.local_lists import Answer
from api.observing import Observing, write
from api.request_id import request_id
from api.routes.common import encode
from api.safe_headers import Shared, safe_headers
from api.services import Services
from core.errors import RateLimited
from core.metrics import LISTS, REQUEST_SECONDS
from core.tally import Tally
from core.types import UserId

_RULE = RULES["lists"]
_JSON: Header = (b"content-type", b"application/json")
_RECS, _USERS, _LISTS = "/recs/", "/users/", "/recommendations"
_BODY = frozenset({b"content-length", b"transfer-encoding"})
_PERSONAL = b"type=personalized"
_LIMITS = {b"limit=%d" % limit: limit for limit in range(1, 101)}
_BY_RECS, _BY_USERS = "/recs/{user_id}", "/users/{user_id}/recommendations"
_ROUTES: dict[str, dict[bytes, int]] = {
    _BY_RECS: {
        b"": 10,
        _PERSONAL: 10,
        **_LIMITS,
        **{query + b"&" + _PERSONAL: limit for query, limit in _LIMITS.items()},
        **{_PERSONAL + b"&" + query: limit for query, limit in _LIMITS.items()},
    },
    _BY_USERS: {b"": 10, **_LIMITS},
}
"""The routes that have finished answers; which queries ask for one, and of how many videos."""
_TALLIES = {
    route: Tally(REQUEST_SECONDS.labels(route, "200"), LISTS.labels("local")) for route in _ROUTES
}

_Found = tuple[Answer, Principal, str]


async def answered(services: Services, asked: Asked, *, must_exist: bool = False) -> ASGIResponse:
    """What the handlers answer; one from a kept list is left for the next who asks."""
    before = services.moment()
    body = await services.recommender.recommend(asked, must_exist=must_exist)
    encoded = encode(body)
    if asked.plain and asked.walk is START:
        services.local.put_answer(body, asked.limit, encoded, before, services.moment())
    return ASGIResponse(body=encoded, media_type="application/json")


class HotPath:
    """Answers from what this process keeps; `services` are there while the application runs."""

    def __init__(
        self,
        verifier: TokenVerifier,
        observing: Observing,
        shared: Shared,
        not_users: Collection[str],
    ) -> None:
        """Make one.

        Args:
            verifier: of tokens.
            observing: says which answers get a line in the log.
            shared: what browsers on other origins are told.
            not_users: what follows `/recs/` in the paths of other routes.
        """
        self.services: Services | None = None
        self._verifier = verifier
        self._observing = observing
        self._shared = shared
        self._not_users = frozenset(not_users)

    def close(self) -> None:
        """The application ends: answer nothing any more, and count what was."""
        self.services = None
        for tally in _TALLIES.values():
            tally.hand_over()

    async def sends(self, scope: Any, send: Send, began: float) -> bool:  # noqa: ANN401
        """Answer if that is surely right; else whoever calls goes on as if nothing had been."""
        services = self.services
        found = self._found(scope, services) if services is not None else None
        shared = self._shared.headers(scope)
        if services is None or found is None or shared is None:
            return False
        verdict = services.limiter.take(found[1])
        if verdict is None:
            verdict = await self._lent(scope, services, found)
        if verdict is None:
            return False
        answer, _, route = found
        scope["path_template"] = route
        start: HTTPResponseStartEvent = {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                _JSON,
                (b"content-length", answer.length),
                (b"x-request-id", request_id(scope).encode()),
                *verdict.headers,
                *safe_headers(scope),
                *shared,
            ],
        }
        await send(start)
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})
        services.impressions.count(answer.shown)
        seconds = perf_counter() - began
        _TALLIES[route].observe(seconds)
        if self._observing.sampled():
            _log(scope, found, seconds)
        return True

    def _found(self, scope: Any, services: Services) -> _Found | None:  # noqa: ANN401
        """The finished answer, who may have it, and by which route; None: let the handlers say."""
        route, user_id = _route(scope["path"])
        limit = _ROUTES[route].get(scope["query_string"]) if route else None
        if limit is None or scope["method"] != "GET":
            return None
        answer = services.local.answer(user_id, limit)
        if answer is None or not answer.holds(services.moment()):
            return None
        if route == _BY_RECS and user_id in self._not_users:
            return None
        token = _token(scope)
        principal = self._verifier.known(token) if token else None
        if principal is None or not _RULE.allows(principal, user_id):
            return None
        return answer, principal, route

    async def _lent(self, scope: Any, services: Services, found: _Found) -> Verdict | None:  # noqa: ANN401
        """An answer of the caller's limit, which the ledger has to be asked for.

        Waiting for it here spares the framework's time, but what was found may be gone by then:
        the handlers go on, and count the answer only once.
        """
        try:
            verdict = await services.limiter.count(found[1], scope["state"])
        except RateLimited:
            return None
        return verdict if self._found(scope, services) == found else None


def _route(path: str) -> tuple[str, UserId]:
    """The route's template, empty for others than ours, and whose list is asked for.

    An id that no user can have, with a slash for one, has no finished answer either.
    """
    if path.startswith(_RECS):
        return _BY_RECS, UserId(path[len(_RECS) :])
    if path.startswith(_USERS) and path.endswith(_LISTS):
        return _BY_USERS, UserId(path[len(_USERS) : -len(_LISTS)])
    return "", UserId("")


def _log(scope: Scope, found: _Found, seconds: float) -> None:
    answer, principal, _ = found
    scope["path_params"] = {"user_id": _route(scope["path"])[1]}
    version = answer.shown.model_version
    write(scope, 200, seconds, principal.sub, cache="local", model_version=version)


def _token(scope: Scope) -> str | None:
    """The bearer token; None without one alone in the plainest form, or beside a body."""
    found = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if found is not None or not value.startswith(b"Bearer "):
                return None
            found = value[7:]
        elif name in _BODY:
            return None
    return found.decode("latin-1") if found else None
