"""A token issuer with keys of its own, in memory."""

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from core.clock import utc_now
from core.errors import Unavailable

HOUR = 3600


_keys: dict[tuple[str, str], Any] = {}


def private_key(kind: str, name: str) -> Any:
    """The key of that name, made when first asked for: `RSA`, `RSA-1024`, `P-256` or `P-384`."""
    if (kind, name) not in _keys:
        _keys[kind, name] = _made(kind)
    return _keys[kind, name]


def _made(kind: str) -> Any:
    if kind.startswith("P-"):
        return ec.generate_private_key(ec.SECP256R1() if kind == "P-256" else ec.SECP384R1())
    return rsa.generate_private_key(65537, 1024 if kind == "RSA-1024" else 2048)


def public(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    """The entry of a JWKS document for that key, `kid` its name; a field of None is left out."""
    key = private_key(kind, name).public_key()
    made = (ECAlgorithm if kind.startswith("P-") else RSAAlgorithm).to_jwk(key, as_dict=True)
    entry = {**made, "kid": name, "use": "sig", **fields}
    return {field: value for field, value in entry.items() if value is not None}


def claims(**given: Any) -> dict[str, Any]:
    """The claims of a good token with some changed."""
    return {"sub": "ann", "exp": int(utc_now().timestamp()) + HOUR, "roles": ["user"], **given}


def signed(kind: str, name: str, header: dict[str, Any] | None = None, **given: Any) -> str:
    """A token by that key; `header` is laid over `{"kid": name}`, a kid of None left out."""
    algorithm = {"RSA": "RS256", "RSA-1024": "RS256", "P-256": "ES256", "P-384": "ES384"}[kind]
    headers = {"kid": name, **(header or {})}
    if headers["kid"] is None:
        del headers["kid"]
    return jwt.encode(
        claims(**given), private_key(kind, name), algorithm=algorithm, headers=headers
    )


class Issuer:
    """A `KeySource` whose document is set at will; None: it is away."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        self.document: bytes | None = jwks(*entries)
        self.fetched = 0

    async def fetch(self) -> bytes:
        self.fetched += 1
        if self.document is None:
            raise Unavailable("jwks")
        return self.document

    async def aclose(self) -> None:
        self.document = None


def jwks(*entries: Any) -> bytes:
    return json.dumps({"keys": list(entries)}).encode()
