"""The public keys that an issuer signs tokens with: which count, and when they are asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import jwt
import msgspec
import structlog

from api.ports import KeySource
from core.errors import Unavailable

# What a key of each kind may sign: an algorithm belongs to a key, never to a token.
ALGORITHMS: Mapping[tuple[str, str | None], str] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
}
RSA_BITS = 2048  # RFC 7518 3.3
MOST_KEYS = 100
REFETCH_SECONDS = 10.0
PERIOD_SECONDS = 300.0
PATIENCE_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Key(msgspec.Struct, frozen=True):
    """One public key: its id, if it has one, and the one algorithm it is for."""

    kid: str | None
    algorithm: str
    public: jwt.PyJWK


def keys_in(document: bytes) -> tuple[Key, ...]:
    """The keys of a JWKS document (RFC 7517) that tokens may be signed with here.

    Left out: keys for encryption, of other kinds or algorithms, broken ones and RSA below 2048
    bits.

    Raises:
        ValueError: it is no such document, or none of its keys can be used.
    """
    try:
        found = msgspec.json.decode(document, type=dict[str, Any]).get("keys")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError("not a JSON object") from error
    entries = found[:MOST_KEYS] if isinstance(found, list) else []
    keys = tuple(key for entry in entries if (key := _key(entry)) is not None)
    if not keys:
        raise ValueError("no key that can be used")
    return keys


def _key(entry: Any) -> Key | None:  # noqa: ANN401 - whatever stands in the document
    if not isinstance(entry, dict) or not _for_signatures(entry):
        return None
    kid, kind, curve = entry.get("kid"), entry.get("kty"), entry.get("crv")
    algorithm = ALGORITHMS.get((str(kind), curve if isinstance(curve, str) else None))
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        return None
    try:
        # Only what makes the public key: a private part that was published stays unread.
        parts = {name: entry[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in entry}
        public = jwt.PyJWK(parts, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if algorithm == "RS256" and public.key.key_size < RSA_BITS:
        return None
    return Key(kid if isinstance(kid, str) else None, algorithm, public)


def _for_signatures(entry: dict[str, Any]) -> bool:
    """Whether `use` and `key_ops` allow the checking of signatures."""
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and ("verify" in operations)
    )


class KeySet:
    """The issuer's keys as last seen; the last good ones stay while the issuer is away.

    They are asked for every five minutes, and when a token names an unknown one, but never more
    often than every ten seconds, and by one fetch at a time. `changed` is called with each change.
    """

    def __init__(self, source: KeySource, *, clock: Callable[[], float] = monotonic) -> None:
        self._source = source
        self._clock = clock
        self._keys: tuple[Key, ...] | None = None
        self._document = b""
        self._fetch: asyncio.Task[None] | None = None
        self._asked = float("-inf")
        self._away = False
        self.changed: Callable[[], None] = lambda: None

    @property
    def known(self) -> bool:
        """Whether keys have ever been had."""
        return self._keys is not None

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key of that id for that algorithm; a token without an id gets the only one there is.

        Waits for the issuer a second at most.

        Raises:
            Unavailable: keys were never had, so nobody can say whether a token is good.
        """
        key = self._match(kid, algorithm)
        if key is None:
            await self._refetched()
            key = self._match(kid, algorithm)
        if self._keys is None:
            raise Unavailable("jwks", "no keys of the issuer have been had yet")
        return key

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep the keys current for the time of the block; it begins with them, if they are had."""
        asking = asyncio.create_task(self._run())
        try:
            await self._refetched()
            yield
        finally:
            tasks = {asking} | ({self._fetch} if self._fetch is not None else set())
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._source.aclose()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_SECONDS if self.known else REFETCH_SECONDS)
            await self._refetched()

    def _match(self, kid: str | None, algorithm: str) -> Key | None:
        fitting = [key for key in self._keys or () if key.algorithm == algorithm]
        if kid is None:
            return fitting[0] if len(fitting) == 1 else None
        return next((key for key in fitting if key.kid == kid), None)

    async def _refetched(self) -> None:
        """See that keys were asked for in the last ten seconds; wait for them a second at most."""
        if self._fetch is None:
            if self._clock() - self._asked < REFETCH_SECONDS:
                return
            self._asked = self._clock()
            self._fetch = asyncio.create_task(self._fetch_once())
        await asyncio.wait([self._fetch], timeout=PATIENCE_SECONDS)

    async def _fetch_once(self) -> None:
        try:
            document = await self._source.fetch()
            keys = keys_in(document)
        except (Unavailable, ValueError) as error:
            if not self._away:
                log.warning("jwks_not_fetched", reason=str(error), kept=len(self._keys or ()))
            self._away = True
        else:
            self._away = False
            if document != self._document:
                self._keys, self._document = keys, document
                log.info("jwks_changed", keys=[key.kid for key in keys])
                self.changed()
        finally:
            self._fetch = None
