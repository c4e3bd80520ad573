"""Tokens for this service, signed with the secret it checks them with."""

from collections.abc import Sequence
from datetime import timedelta

import jwt

from api.auth import ALGORITHM, Role
from core.clock import Clock, utc_now
from core.errors import SetupError
from core.secrets import JWT_BYTES, jwt_secrets
from core.settings import Settings


def make_token(
    settings: Settings,
    sub: str,
    roles: Sequence[Role],
    lifetime: timedelta,
    clock: Clock = utc_now,
) -> str:
    """A signed token for `sub`, valid for `lifetime` from now.

    Raises:
        SetupError: there is no secret, or one shorter than the algorithm wants.
    """
    secrets = jwt_secrets(settings)
    if not secrets and settings.jwt_jwks_url is not None:
        raise SetupError(
            "Tokens are signed by the issuer whose keys are at UPNEXT_JWT_JWKS_URL: get one there. "
            "To sign with a secret as well, set UPNEXT_JWT_SECRET here and for the service."
        )
    if not secrets:
        raise SetupError(f"UPNEXT_JWT_SECRET must have {JWT_BYTES} bytes or more.")
    now = clock()
    claims = {"sub": sub, "roles": list(roles), "iat": now, "exp": now + lifetime}
    wanted = {"iss": settings.jwt_issuer, "aud": settings.jwt_audience}
    return jwt.encode(
        claims | {name: value for name, value in wanted.items() if value is not None},
        secrets[0],
        algorithm=ALGORITHM,
    )
