"""Whatever is sent as a token, it is refused or names whom its signer named; soon, and by name."""

import asyncio
import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from api.auth import Principal, TokenVerifier
from api.http import application
from api.keys import KeySet
from core.clock import utc_now
from core.errors import Unauthenticated
from tests.contract_http.raw import Asked, ask
from tests.fuzzing import DEEP, changed, objects
from tests.issuers import Issuer, private_key, public, signed
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit

SECRET = "a secret of this test only, long enough for every HMAC there is."  # noqa: S105
SOON = timedelta(seconds=2)  # on a busy machine; a token is checked in a ten-thousandth of that
OK, UNAUTHORIZED = 200, 401
ROLES = {"user", "service", "trainer", "admin"}
EXPIRES = int(utc_now().timestamp()) + 3600

OURS, ANOTHER = SECRET.encode(), b"a secret of somebody else, as long as one has to be."
PLAIN = '{"alg":"HS256"}'
_UNTIL = f'"exp":{EXPIRES}'
_GOOD = jwt.encode({"sub": "ann", "exp": EXPIRES, "roles": ["user"]}, SECRET, algorithm="HS256")
BY_KEY = signed("RSA", "one"), signed("P-256", "two")
GOOD = (_GOOD, *BY_KEY)
PUBLIC = tuple(
    private_key(kind, name).public_key().public_bytes(encoding, form)
    for kind, name in (("RSA", "one"), ("P-256", "two"))
    for encoding, form in (
        (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )
)
"""What everybody has: a token that is signed with one of these as a secret is nobody's."""

_HEADER = {"alg": '"HS256"', "typ": '"JWT"', "kid": '"one"'}
_MORE = ("jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "cty", "enc")
_CLAIMS = {"sub": '"ann"', "exp": str(EXPIRES), "roles": '["user"]'}
ALGORITHMS = (
    "none",
    "None",
    "nOnE",
    "",
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "ES256",
    "PS256",
    "A128KW",
)


def verified(token: str) -> Principal | None:
    """Whom it names; None: it is refused. Any other error is one."""
    keys = KeySet(Issuer(public("RSA", "one"), public("P-256", "two")))
    verifier = TokenVerifier(SECRET, keys=keys)

    async def check() -> Principal | None:
        async with verifier.kept():
            try:
                return await verifier.verify(token)
            except Unauthenticated:
                return None

    return asyncio.run(check())


def part(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def forged(header: bytes, claims: bytes, key: bytes | None) -> str:
    """A token of these parts, signed with HMAC by the key, if there is one."""
    said = part(header) + b"." + part(claims)
    signature = b"" if key is None else hmac.new(key, said, hashlib.sha256).digest()
    return (said + b"." + part(signature)).decode()


def texts() -> st.SearchStrategy[str]:
    """As a server hands a header's value over."""
    return st.binary(max_size=200).map(lambda sent: sent.decode("latin-1")) | st.text(max_size=200)


@settings(deadline=SOON, max_examples=60)
@given(texts() | st.lists(st.text("eyJ.-_=A", max_size=30), max_size=5).map(".".join))
@example("." * 8_000)
@example("eyJ" + "A" * 8_000)
def test_arbitrary_texts_are_refused(token: str) -> None:
    assert verified(token) is None


@settings(deadline=SOON)
@given(changed(st.sampled_from([token.encode() for token in GOOD])))
def test_a_changed_token_is_refused_or_says_what_its_signer_said(token: bytes) -> None:
    assert verified(token.decode("latin-1")) in (None, Principal("ann", frozenset({"user"})))


@settings(deadline=SOON)
@given(
    st.sampled_from(ALGORITHMS),
    st.sampled_from((None, b"", b"\x00", SECRET[:-1].encode(), *PUBLIC)),
    st.sampled_from(
        ("one", "two", "three", "../../dev/null", "https://evil.example/jwks.json", None)
    ),
    st.sampled_from(("ann", "admin")),
)
def test_who_has_no_key_gets_in_with_no_algorithm(
    algorithm: str, key: bytes | None, kid: str | None, sub: str
) -> None:
    header = json.dumps({"alg": algorithm, "typ": "JWT", "kid": kid}).encode()
    claims = json.dumps({"sub": sub, "exp": EXPIRES, "roles": ["admin"]}).encode()
    assert verified(forged(header, claims, key)) is None


@settings(deadline=SOON, max_examples=70)
@given(
    objects(_HEADER, _MORE),
    objects(_CLAIMS, ("nbf", "iat", "iss", "aud", "jti")),
    st.sampled_from((OURS, ANOTHER)),
)
@example(PLAIN, '{"sub":"ann","exp":1' + "0" * 400 + "}", OURS)
@example(PLAIN, f'{{"sub":"eve","sub":"ann",{_UNTIL}}}', OURS)
@example(PLAIN, '{"sub":"ann","exp":NaN}', OURS)
@example(PLAIN, f'{{"sub":"\\ud800",{_UNTIL}}}', OURS)
@example('{"alg":"HS256","crit":["exp"]}', f'{{"sub":"ann",{_UNTIL}}}', OURS)
@example(PLAIN, DEEP[0][:5_000], OURS)
@example(PLAIN, DEEP[1][:5_000], OURS)
@example(DEEP[0][:5_000], "{}", ANOTHER)
def test_odd_json_is_refused_or_read_once(header: str, claims: str, key: bytes) -> None:
    found = verified(forged(_bytes(header), _bytes(claims), key))
    if found is None:
        return
    assert key == OURS
    said: dict[str, Any] = json.loads(claims)  # of a claim that comes twice, the last
    assert found.sub == said["sub"]
    assert 1 <= len(found.sub) <= 128
    assert found.sub.isprintable()
    found.sub.encode()  # as every store and every answer will
    assert found.roles == ROLES & set(said.get("roles", ()))
    assert utc_now().timestamp() < float(said["exp"]) < float("inf")


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    world = World()
    asyncio.run(world.watched("ann", *NAMES[:5]))
    app = application(world.compose, TokenVerifier(SECRET), access_log_sample=0)
    with TestClient(app) as client:
        yield client


@settings(deadline=SOON, max_examples=60)
@given(sent=st.binary(max_size=100) | changed(st.just(_GOOD.encode())))
@example(sent=b"\xff\xfe")
@example(sent=b"A" * 1_000_000)
def test_the_api_answers_401_to_all_of_it(client: TestClient[Litestar], sent: bytes) -> None:
    answer = ask(
        client, Asked("GET", b"/recs/ann", headers=((b"authorization", b"Bearer " + sent),))
    )
    if answer.status == OK:  # changed where it does not count
        assert verified(sent.decode("latin-1").strip()) is not None
        return
    assert answer.status == UNAUTHORIZED
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["code"] == "unauthenticated"
