"""Who may call what, as one table.

Guards run before parameters are read and before anything is looked up, so 403 wins over 404.
They are coroutines: Litestar would run plain functions in a thread.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.auth import Principal, Role, TokenVerifier
from core.errors import Forbidden, Unauthenticated

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]
Action = Literal[
    "lists",
    "lists.any",
    "watching",
    "videos",
    "catalogue.write",
    "events.import",
    "batch",
    "jobs",
    "models.read",
    "models.change",
    "config.read",
    "config.write",
    "stats",
    "users.erase",
]


_CALLER = "caller"


@dataclass(frozen=True, slots=True)
class Rule:
    """`anyone`: roles that may; `own`: roles that may where the path names themselves."""

    anyone: frozenset[Role]
    own: frozenset[Role] = frozenset()

    def allows(self, principal: Principal, owner: str | None) -> bool:
        """Whether the principal may, on a path about the user `owner` (None: about nobody)."""
        if not self.anyone.isdisjoint(principal.roles):
            return True
        return principal.sub == owner and not self.own.isdisjoint(principal.roles)


_EVERYONE = Rule(anyone=frozenset({"user", "service", "trainer", "admin"}))
_OWN = Rule(anyone=frozenset({"service", "admin"}), own=frozenset({"user"}))
_SERVICES = Rule(anyone=frozenset({"service", "admin"}))
_READERS = Rule(anyone=frozenset({"service", "trainer", "admin"}))
_TRAINERS = Rule(anyone=frozenset({"trainer", "admin"}))
_ADMINS = Rule(anyone=frozenset({"admin"}))

RULES: Mapping[Action, Rule] = {
    "lists": _OWN,
    # Whose list it is stands in the body: the route asks `may_act_for` once it is read.
    "lists.any": Rule(anyone=frozenset({"user", "service", "admin"})),
    "watching": _OWN,
    "videos": _EVERYONE,
    "catalogue.write": _SERVICES,
    "events.import": _SERVICES,
    "batch": _SERVICES,
    "jobs": _READERS,
    "models.read": _READERS,
    "models.change": _TRAINERS,
    "config.read": _READERS,
    "config.write": _ADMINS,
    "stats": _READERS,
    "users.erase": _ADMINS,
}


def may(action: Action) -> Guard:
    """The guard of a route: a valid token, an answer left, and roles that allow `action`."""
    rule = RULES[action]

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        principal = await _principal(connection)
        connection.scope["state"][_CALLER] = principal
        await connection.app.state.services.limiter.count(principal, connection.scope["state"])
        if not rule.allows(principal, connection.path_params.get("user_id")):
            raise Forbidden("The roles of this token do not allow that.")

    return guard


def caller(request: Connection) -> Principal:
    """Whoever calls a guarded route."""
    principal: Principal = request.scope["state"][_CALLER]
    return principal


def may_act_for(principal: Principal, user_id: str) -> None:
    """See that the caller may have what is this user's. Raises `Forbidden`."""
    if not RULES["lists"].allows(principal, user_id):
        raise Forbidden("The roles of this token do not allow that for this user.")


async def _principal(connection: Connection) -> Principal:
    """Whoever the bearer token names. Raises `Unauthenticated`, `Unavailable`."""
    sent = connection.headers.getall("authorization", [])
    scheme, _, token = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send a token: `Authorization: Bearer <JWT>`.")
    verifier: TokenVerifier = connection.app.state.verifier
    return await verifier.verify(token.strip())
