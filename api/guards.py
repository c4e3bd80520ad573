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
Action = Literal["lists", "watching", "videos", "models.read", "models.change"]


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


RULES: Mapping[Action, Rule] = {
    "lists": Rule(anyone=frozenset({"service", "admin"}), own=frozenset({"user"})),
    "watching": Rule(anyone=frozenset({"service", "admin"}), own=frozenset({"user"})),
    "videos": Rule(anyone=frozenset({"user", "service", "trainer", "admin"})),
    "models.read": Rule(anyone=frozenset({"service", "trainer", "admin"})),
    "models.change": Rule(anyone=frozenset({"trainer", "admin"})),
}


def may(action: Action) -> Guard:
    """The guard of a route: a valid token, and roles that allow `action`."""
    rule = RULES[action]

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        principal = _principal(connection)
        if not rule.allows(principal, connection.path_params.get("user_id")):
            raise Forbidden("The roles of this token do not allow that.")

    return guard


def _principal(connection: Connection) -> Principal:
    """Whoever the bearer token names. Raises `Unauthenticated`."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send a token: `Authorization: Bearer <JWT>`.")
    verifier: TokenVerifier = connection.app.state.verifier
    return verifier.verify(token.strip())
