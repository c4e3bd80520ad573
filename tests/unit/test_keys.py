"""An issuer's keys: which are used, for what, and when they are asked for again."""

import asyncio
import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from api.auth import TOKEN_BYTES, TokenVerifier, verifier
from api.keys import REFETCH_SECONDS, KeySet, keys_in
from core.errors import Unauthenticated, Unavailable
from core.settings import load
from tests.issuers import Issuer, claims, jwks, private_key, public, signed

pytestmark = pytest.mark.unit
SECRET = "a secret of this test only, long enough for an HMAC."  # noqa: S105
RSA, EC = public("RSA", "r1"), public("P-256", "e1")


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Trust:
    """A verifier that trusts an issuer and, if given one, a secret."""

    def __init__(self, *entries: dict[str, Any], secret: str | None = None) -> None:
        self.watch = Watch()
        self.issuer = Issuer(*entries)
        self.keys = KeySet(self.issuer, clock=self.watch)
        self.verifier = TokenVerifier(secret, keys=self.keys)

    async def accepts(self, token: str) -> bool:
        try:
            return (await self.verifier.verify(token)).sub == "ann"
        except Unauthenticated:
            return False


@pytest.mark.parametrize(("kind", "name"), [("RSA", "r1"), ("P-256", "e1")])
async def test_tokens_of_the_issuer_are_good(kind: str, name: str) -> None:
    trust = Trust(RSA, EC)
    assert await trust.accepts(signed(kind, name))
    assert trust.verifier.known(signed(kind, name, sub="bob")) is None
    assert trust.issuer.fetched == 1


async def test_a_secret_and_an_issuer_may_be_trusted_together() -> None:
    trust = Trust(RSA, secret=SECRET)
    assert await trust.accepts(jwt.encode(claims(), SECRET))
    assert await trust.accepts(signed("RSA", "r1"))
    assert not await Trust(RSA).accepts(jwt.encode(claims(), SECRET))


async def test_a_public_key_is_never_an_hmac_secret() -> None:
    pem = (
        private_key("RSA", "r1")
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    header = {"alg": "HS256", "typ": "JWT", "kid": "r1"}
    for secret in (pem, pem.strip(), json.dumps(RSA).encode(), b""):
        forged = _hmac(header, secret)
        for trusting in (Trust(RSA), Trust(RSA, secret=SECRET)):
            assert not await trusting.accepts(forged)


def _hmac(header: dict[str, Any], secret: bytes) -> str:
    """A token signed by HMAC with whatever bytes, which PyJWT refuses to do with a public key."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, claims())
    ]
    message = b".".join(parts)
    digest = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(message, secret)
    return b".".join([message, base64.urlsafe_b64encode(digest).rstrip(b"=")]).decode()


@pytest.mark.parametrize(
    "token",
    [
        jwt.encode(claims(), "", algorithm="none"),
        jwt.encode(claims(), "", algorithm="none", headers={"kid": "r1"}),
        signed("RSA", "r1", {"alg": "RS512"}),
        signed("RSA", "r1", {"alg": "PS256"}),
        signed("RSA", "another", {"kid": "r1"}),
        signed("P-256", "e1", {"kid": "r1"}),
        signed("RSA", "r1", {"kid": "e1"}),
        signed("RSA", "r1", {"kid": "R1"}),
        signed("RSA", "r1", {"crit": ["b64"], "b64": False}),
        signed("RSA", "r1", {"crit": ["x"], "x": 1}),
        signed("RSA", "r1", sub=""),
        signed("RSA", "r1", sub="x" * 129),
        signed("RSA", "r1", sub="a\ud800"),
        signed("RSA", "r1", sub="a\x00"),
        signed("RSA", "r1", exp=float("nan")),
        signed("RSA", "r1", exp=float("inf")),
        signed("RSA", "r1", exp=True),
        signed("RSA", "r1", nbf=float("nan")),
        signed("RSA", "r1", sub="a" * TOKEN_BYTES),
        "[" * 5000 + "." + "[" * 5000 + ".x",
        base64.urlsafe_b64encode(b"[" * 4000).decode() + ".e30.x",
    ],
)
async def test_what_is_not_signed_as_the_key_says_is_refused(token: str) -> None:
    assert not await Trust(RSA, EC, secret=SECRET).accepts(token)


async def test_keys_that_a_token_brings_along_are_not_looked_at() -> None:
    trust = Trust(RSA)
    own = public("RSA", "own")
    for header in ({"jwk": own}, {"jku": "https://evil/jwks"}, {"x5u": "https://evil/x5u"}):
        assert not await trust.accepts(signed("RSA", "own", {**header, "kid": "r1"}))
        assert await trust.accepts(signed("RSA", "r1", header))


async def test_a_token_without_a_key_id_is_tried_with_the_only_key_of_its_kind() -> None:
    token = signed("RSA", "r1", {"kid": None})
    assert await Trust(RSA, EC).accepts(token)
    assert not await Trust(RSA, public("RSA", "r2")).accepts(token)


@pytest.mark.parametrize(
    "entry",
    [
        public("RSA", "r1", use="enc"),
        public("RSA", "r1", key_ops=["encrypt"]),
        public("RSA", "r1", alg="PS256"),
        public("RSA", "r1", alg="HS256"),
        public("RSA", "r1", n="AQAB"),
        public("RSA", "r1", n=None),
        public("RSA", "r1", kty="EC"),
        public("RSA-1024", "r1"),
        public("P-384", "r1"),
        public("P-256", "r1", x="AA"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "r1"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "r1"},
        {},
        "r1",
        None,
    ],
)
def test_keys_that_are_no_use_are_left_out(entry: Any) -> None:
    assert [key.kid for key in keys_in(jwks(entry, EC))] == ["e1"]
    with pytest.raises(ValueError, match="no key"):
        keys_in(jwks(entry))


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["keys", "kty", "n", "e", "crv", "kid"]), inner, max_size=4
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_rubbish_for_a_document_is_a_value_error_and_nothing_else(document: bytes) -> None:
    with pytest.raises(ValueError, match="no"):
        keys_in(document)


async def test_a_new_key_is_found_and_an_old_one_forgotten() -> None:
    trust = Trust(RSA)
    old = signed("RSA", "r1")
    assert await trust.accepts(old)
    trust.issuer.document = jwks(public("RSA", "r2"))
    assert not await trust.accepts(signed("RSA", "r2"))
    assert await trust.accepts(old)  # asked a moment ago: nothing new is known
    trust.watch.now += REFETCH_SECONDS
    assert await trust.accepts(signed("RSA", "r2"))
    assert not await trust.accepts(old)


async def test_unknown_keys_ask_the_issuer_at_most_every_ten_seconds() -> None:
    trust = Trust(RSA)
    tokens = [signed("RSA", "forger", {"kid": f"k{number}"}) for number in range(20)]
    assert not any(await asyncio.gather(*(trust.accepts(token) for token in tokens)))
    assert trust.issuer.fetched == 1
    for _ in range(3):
        trust.watch.now += REFETCH_SECONDS
        for token in tokens:
            await trust.accepts(token)
    assert trust.issuer.fetched == 4


@pytest.mark.parametrize("document", [None, b"<html>", b'{"keys":[]}', b"\xff"])
async def test_the_last_good_keys_stay(document: bytes | None) -> None:
    trust = Trust(RSA)
    assert await trust.accepts(signed("RSA", "r1"))
    trust.issuer.document = document
    trust.watch.now += REFETCH_SECONDS
    assert not await trust.accepts(signed("RSA", "forger"))
    assert trust.issuer.fetched == 2
    assert await trust.accepts(signed("RSA", "r1", sub="ann", jti="another"))


async def test_without_keys_ever_nobody_can_say() -> None:
    trust = Trust()
    assert not trust.verifier.ready
    with pytest.raises(Unavailable):
        await trust.verifier.verify(signed("RSA", "r1"))
    trust.issuer.document = jwks(RSA)
    trust.watch.now += REFETCH_SECONDS
    assert await trust.accepts(signed("RSA", "r1"))
    assert trust.verifier.ready


async def test_a_silent_issuer_is_not_waited_for_longer_than_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.keys.PATIENCE_SECONDS", 0.01)
    trust = Trust(RSA, secret=SECRET)
    silent = asyncio.Event()
    fetch = trust.issuer.fetch

    async def late() -> bytes:
        await silent.wait()
        return await fetch()

    trust.issuer.fetch = late  # type: ignore[method-assign]
    async with trust.verifier.kept():
        assert await trust.accepts(jwt.encode(claims(), SECRET))
        with pytest.raises(Unavailable):
            await trust.verifier.verify(signed("RSA", "r1"))
        silent.set()
        await asyncio.sleep(0.01)
        assert await trust.accepts(signed("RSA", "r1"))


def test_settings_may_name_an_issuer_instead_of_a_secret() -> None:
    settings = load({"jwt_jwks_url": "https://issuer/jwks.json", "jwt_leeway_seconds": "5"})
    assert not verifier(settings, Issuer(RSA)).ready


@given(st.text(max_size=300) | st.from_regex(r"[A-Za-z0-9_\-]{0,60}(\.[A-Za-z0-9_\-]{0,60}){0,5}"))
def test_any_text_is_refused_and_nothing_else(text: str) -> None:
    with pytest.raises(Unauthenticated):
        asyncio.run(Trust(RSA, secret=SECRET).verifier.verify(text))
