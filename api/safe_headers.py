"""Headers that every answer has, so that a browser makes nothing of it but what it is.

They are bytes that are made once: the thin path sends them with each answer.
"""

import re
from base64 import b64encode
from hashlib import sha256
from typing import Any, Final

from litestar.config.cors import CORSConfig
from litestar.types import Message, Scope

Headers = tuple[tuple[bytes, bytes], ...]

_STATE: Final = "content-security-policy"
_CACHE: Final = b"cache-control"
_NOTHING: Final = b"default-src 'none'; frame-ancestors 'none'"
_FOR_ALL: Final[Headers] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
_NOT_KEPT: Final = (_CACHE, b"no-store")
_TLS: Final = (b"strict-transport-security", b"max-age=31536000")
_STRICT: Final[Headers] = (*_FOR_ALL, (b"content-security-policy", _NOTHING), _NOT_KEPT)
_BY_SCHEME: Final[dict[str, Headers]] = {"http": _STRICT, "https": (*_STRICT, _TLS)}
_INLINE = re.compile(rb"<script(?![^>]*src=)[^>]*>(.*?)</script>", re.DOTALL)

# What a browser on another site may send and read; no cookie counts here, so none is let through.
_METHODS: Final = ("DELETE", "GET", "POST", "PUT")
_SENT: Final = ("authorization", "content-type", "idempotency-key", "if-match", "x-request-id")
_READ: Final = (
    "Location",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-Request-ID",
)


def safe_headers(scope: Any) -> Headers:  # noqa: ANN401 - the framework has many names for a scope
    """Those of an answer that is nobody else's: nothing keeps it, nothing in it is run.

    Strict-Transport-Security is among them where the API itself serves TLS; a proxy that does it
    instead knows for itself whether its name has nothing without.
    """
    return _BY_SCHEME.get(scope.get("scheme", "http"), _STRICT)


async def send_safe_headers(message: Message, scope: Scope) -> None:
    """Put them on an answer of the framework, which may have said more of caching or scripts."""
    if message["type"] != "http.response.start":
        return
    policy: bytes | None = scope["state"].get(_STATE)
    there = {name.lower() for name, _ in message["headers"]}
    if policy is not None:
        there.add(b"content-security-policy")
        message["headers"] = [*message["headers"], (b"content-security-policy", policy)]
    message["headers"] = [
        *message["headers"],
        *(header for header in safe_headers(scope) if header[0] not in there),
    ]


def allow_page(scope: Any, page: bytes) -> None:  # noqa: ANN401
    """Let the scripts that stand in this page run, and files of our own; nothing from elsewhere."""
    hashes = (b64encode(sha256(script).digest()).decode() for script in _INLINE.findall(page))
    scripts = " ".join(f"'sha256-{each}'" for each in hashes)
    scope["state"][_STATE] = (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ).encode()


def cors(origins: str | None) -> CORSConfig | None:
    """What the framework needs to answer browsers on these origins, with commas between.

    None: it answers none.
    """
    if not origins:
        return None
    return CORSConfig(
        allow_origins=[origin.strip() for origin in origins.split(",")],
        allow_methods=list(_METHODS),
        allow_headers=list(_SENT),
        expose_headers=list(_READ),
        allow_credentials=False,
    )


class Shared:
    """What the thin path says to browsers on other origins: the framework's words, made once."""

    def __init__(self, config: CORSConfig | None) -> None:
        self._by_origin: dict[bytes, Headers] = {}
        if config is not None:
            for origin in config.allow_origins:
                self._by_origin[origin.encode()] = (
                    (b"access-control-allow-origin", origin.encode()),
                    (b"vary", b"Origin"),
                    *(
                        (name.lower().encode(), value.encode())
                        for name, value in config.simple_headers.items()
                    ),
                    (b"access-control-allow-headers", ", ".join(sorted(_SENT)).encode()),
                    (b"access-control-allow-methods", ", ".join(sorted(_METHODS)).encode()),
                )

    def headers(self, scope: Any) -> Headers | None:  # noqa: ANN401
        """Those of an answer; None: the framework must say it, of an origin that is not allowed."""
        if not self._by_origin:
            return ()
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        return () if origin is None else self._by_origin.get(origin)
