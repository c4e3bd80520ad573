"""Who is calling: tokens are checked once and remembered for a while."""

import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Literal

import jwt
import msgspec

from api.keys import KeySet
from api.ports import KeySource
from api.secret_lines import SecretLines
from core.errors import SetupError, Unauthenticated
from core.secrets import JWT_BYTES, jwt_secrets
from core.settings import Settings

Role = Literal["user", "service", "trainer", "admin"]
ALGORITHM = "HS256"  # of tokens signed with the secret
REMEMBER_SECONDS = 300.0
REMEMBERED = 25_000  # about 600 bytes each
REMEMBERED_BYTES = 2048  # a longer token is checked each time, so that memory is bounded, too
TOKEN_BYTES = 8192
SUB_LENGTH = 128

_ROLES: tuple[Role, ...] = ("user", "service", "trainer", "admin")


class Principal(msgspec.Struct, frozen=True):
    """Whoever the token names: a user id or a service's name, and what it may do."""

    sub: str
    roles: frozenset[Role]


class _Claims(msgspec.Struct, frozen=True):
    """The claims that are read here; PyJWT has checked the others."""

    sub: str
    exp: float
    nbf: float = 0.0
    roles: frozenset[str] = frozenset()


class TokenVerifier:
    """Checks tokens signed with a secret of ours (HS256) or an issuer's keys (RS256, ES256).

    Which key and algorithm a token is checked with is ours to say: a secret is for HS256 alone,
    a public key for the algorithm of its kind alone, and keys that a token brings along or points
    to are not looked at. Verified tokens are remembered, the least recently used forgotten first,
    for five minutes, never past their `exp`, and not beyond a change of the secrets or keys.
    """

    def __init__(
        self,
        secret: str | None,
        *,
        lines: SecretLines | None = None,
        keys: KeySet | None = None,
        issuer: str | None = None,
        audience: str | None = None,
        leeway_seconds: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Trust `secret`, or else the secrets of a file, and `keys`."""
        self.keys = keys
        self._secret = secret
        self._lines = lines
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway_seconds
        self._clock = clock
        self._remembered: OrderedDict[str, tuple[Principal, float]] = OrderedDict()
        self._roles: dict[frozenset[str], frozenset[Role]] = {}
        for changing in (keys, lines):
            if changing is not None:
                changing.changed = self._remembered.clear

    @property
    def ready(self) -> bool:
        """Whether tokens can be checked."""
        return bool(self._secrets()) or (self.keys is not None and self.keys.known)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep secrets and keys that may change current for the time of the block."""
        async with AsyncExitStack() as stack:
            for changing in (self.keys, self._lines):
                if changing is not None:
                    await stack.enter_async_context(changing.kept())
            yield

    def known(self, token: str) -> Principal | None:
        """The principal of a token that was checked lately; None: ask `verify`."""
        found = self._remembered.get(token)
        if found is None or self._clock() >= found[1]:
            return None
        self._remembered.move_to_end(token)
        return found[0]

    async def verify(self, token: str) -> Principal:
        """The principal of a valid token.

        Raises:
            Unauthenticated: it is not one.
            Unavailable: the issuer's keys were never had, so nobody can say.
        """
        return self.known(token) or self._remember(token, await self._checked(token))

    async def _checked(self, token: str) -> _Claims:
        """Claims of a token whose signature, form, times, `iss` and `aud` are right."""
        if len(token) > TOKEN_BYTES:
            raise Unauthenticated(f"The token has more than {TOKEN_BYTES} characters.")
        try:
            header = jwt.get_unverified_header(token)
            keys, algorithm = await self._keys(header)
            claims = msgspec.convert(self._decoded(token, keys, algorithm), _Claims)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, RecursionError) as error:
            raise Unauthenticated("The token is not valid: get a new one.") from error
        self._check_times(claims)
        if not (1 <= len(claims.sub) <= SUB_LENGTH and claims.sub.isprintable()):
            raise Unauthenticated(f"`sub` of a token has 1 to {SUB_LENGTH} printable characters.")
        return claims

    def _secrets(self) -> tuple[str, ...]:
        if self._secret is not None:
            return (self._secret,)
        return self._lines.current if self._lines is not None else ()

    async def _keys(self, header: dict[str, Any]) -> tuple[Sequence[Any], str]:
        """What the token may be signed with, and the one algorithm to check it by."""
        named = header.get("alg")
        if named == ALGORITHM and (secrets := self._secrets()):
            return secrets, ALGORITHM
        if named in ("RS256", "ES256") and self.keys is not None:
            key = await self.keys.find(header.get("kid"), named)
            if key is not None:
                return (key.public,), key.algorithm
        raise Unauthenticated("The token is signed by nobody who is trusted here.")

    def _decoded(self, token: str, keys: Sequence[Any], algorithm: str) -> dict[str, Any]:
        """The claims by the first key that fits. Raises `jwt.PyJWTError`."""
        *others, last = keys
        for key in others:
            with suppress(jwt.InvalidSignatureError):
                return self._decoded_by(token, key, algorithm)
        return self._decoded_by(token, last, algorithm)

    def _decoded_by(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:  # noqa: ANN401
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=self._issuer,
            audience=self._audience,
            # Times are compared with our clock; `iat` bounds nothing, and an issuer whose clock
            # is ahead must not lock its users out.
            options={
                "require": ["exp", "sub"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": self._audience is not None,
            },
        )

    def _check_times(self, claims: _Claims) -> None:
        now = self._clock()
        # In this form no number that is not one, such as `NaN`, gets through.
        if not now < claims.exp + self._leeway < math.inf:
            raise Unauthenticated("The token has expired: get a new one.")
        if not claims.nbf - self._leeway <= now:
            raise Unauthenticated("The token is not valid yet.")

    def _remember(self, token: str, claims: _Claims) -> Principal:
        principal = Principal(claims.sub, self._known_roles(claims.roles))
        until = min(claims.exp + self._leeway, self._clock() + REMEMBER_SECONDS)
        if len(token) > REMEMBERED_BYTES:
            return principal
        self._remembered[token] = (principal, until)
        self._remembered.move_to_end(token)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return principal

    def _known_roles(self, named: frozenset[str]) -> frozenset[Role]:
        """The roles that mean something here, as one object each; others belong to others."""
        roles = frozenset(role for role in _ROLES if role in named)
        return self._roles.setdefault(roles, roles)


def verifier(settings: Settings, source: KeySource | None = None) -> TokenVerifier:
    """The verifier of these settings; `source` is where `jwt_jwks_url` is read.

    Raises:
        SetupError: there is neither a usable secret nor an issuer's URL.
    """
    secrets = jwt_secrets(settings)
    if not secrets and source is None:
        raise SetupError(
            f"Set UPNEXT_JWT_SECRET to a secret of {JWT_BYTES} bytes or more, or "
            "UPNEXT_JWT_SECRET_FILE to a file of one; there is no default. `openssl rand -hex 32` "
            "makes one. Or set UPNEXT_JWT_JWKS_URL to where the issuer of your tokens publishes "
            "its keys."
        )
    file = settings.jwt_secret_file
    return TokenVerifier(
        secrets[0] if secrets and file is None else None,
        lines=None if file is None else SecretLines(file),
        keys=None if source is None else KeySet(source),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway_seconds=settings.jwt_leeway_seconds,
    )
