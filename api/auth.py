"""Who is calling: tokens are checked once and remembered for a while."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

import jwt
import msgspec

from core.clock import Clock, utc_now
from core.errors import SetupError, Unauthenticated
from core.settings import Settings

Role = Literal["user", "service", "trainer", "admin"]
ALGORITHM = "HS256"
SECRET_BYTES = 32  # RFC 7518 3.2: a key of the hash's size or larger
REMEMBER_SECONDS = 300.0
REMEMBERED = 10_000


class Principal(msgspec.Struct, frozen=True):
    """Whoever the token names: a user id or a service's name, and what it may do."""

    sub: str
    roles: frozenset[Role]


class _Claims(msgspec.Struct, frozen=True):
    """The claims that are read here; PyJWT has checked the others."""

    sub: str
    exp: float
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Remembered:
    principal: Principal
    until: float


class TokenVerifier:
    """Checks HS256 tokens; the algorithm is ours to say, never the token's.

    Verified tokens are remembered, the least recently used forgotten first, for five minutes
    and never past their `exp`.
    """

    def __init__(
        self,
        secret: str,
        *,
        issuer: str | None = None,
        audience: str | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._secret = secret
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._known: OrderedDict[str, _Remembered] = OrderedDict()

    def verify(self, token: str) -> Principal:
        """The principal of a valid token. Raises `Unauthenticated`."""
        now = self._clock().timestamp()
        known = self._known.get(token)
        if known is not None and now < known.until:
            self._known.move_to_end(token)
            return known.principal
        claims = self._decode(token)
        if claims.exp <= now:
            raise Unauthenticated("The token has expired: get a new one.")
        principal = Principal(claims.sub, _known_roles(claims.roles))
        self._known[token] = _Remembered(principal, min(claims.exp, now + REMEMBER_SECONDS))
        self._known.move_to_end(token)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return principal

    def _decode(self, token: str) -> _Claims:
        """Claims of a token whose signature, form, `iss` and `aud` are right."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                # `exp` is compared with our clock, just below; `iat` bounds nothing, and an issuer
                # whose clock is a second ahead must not lock its users out.
                options={
                    "require": ["exp", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_aud": self._audience is not None,
                },
            )
            return msgspec.convert(claims, _Claims)
        except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
            raise Unauthenticated("The token is not valid: get a new one.") from error


def _known_roles(roles: frozenset[str]) -> frozenset[Role]:
    """The roles that mean something here; others belong to other services."""
    known: tuple[Role, ...] = ("user", "service", "trainer", "admin")
    return frozenset(role for role in known if role in roles)


def verifier(settings: Settings) -> TokenVerifier:
    """The verifier of these settings. Raises `SetupError` without a usable secret."""
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else ""
    if len(secret.encode()) < SECRET_BYTES:
        raise SetupError(
            f"Set UPNEXT_JWT_SECRET to a secret of {SECRET_BYTES} bytes or more; "
            "there is no default. `openssl rand -hex 32` makes one."
        )
    return TokenVerifier(secret, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
