"""Tokens: what is accepted, what is refused, how long one is remembered."""

from datetime import timedelta
from typing import Any

import jwt
import pytest

from api.auth import REMEMBER_SECONDS, REMEMBERED, TokenVerifier, verifier
from core.clock import utc_now
from core.errors import SetupError, Unauthenticated
from core.settings import load

pytestmark = pytest.mark.unit
SECRET = "a secret of this test only, long enough for every HMAC there is."  # noqa: S105


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    plain = {"sub": "ann", "exp": utc_now() + timedelta(hours=1), "roles": ["user"]}
    kept = {key: value for key, value in {**plain, **claims}.items() if value is not None}
    return jwt.encode(kept, secret, algorithm=algorithm)


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> float:
        return self.now.timestamp()


async def test_a_good_token_names_its_principal() -> None:
    principal = await TokenVerifier(SECRET).verify(
        token(roles=["admin", "user", "of-another-service"])
    )
    assert principal.sub == "ann"
    assert principal.roles == {"admin", "user"}


async def test_an_issuer_whose_clock_is_ahead_is_believed() -> None:
    ahead = token(iat=utc_now() + timedelta(seconds=20))
    assert (await TokenVerifier(SECRET).verify(ahead)).sub == "ann"


@pytest.mark.parametrize(("claim", "off"), [("exp", -29), ("nbf", 29), ("exp", -31), ("nbf", 31)])
async def test_clocks_may_be_off_by_the_leeway(claim: str, off: int) -> None:
    verifying = TokenVerifier(SECRET, leeway_seconds=30.0)
    claims: dict[str, Any] = {claim: utc_now() + timedelta(seconds=off)}
    shifted = token(**claims)
    if abs(off) < 30:
        assert (await verifying.verify(shifted)).sub == "ann"
        return
    with pytest.raises(Unauthenticated):
        await verifying.verify(shifted)


async def test_a_token_without_roles_may_nothing() -> None:
    assert (await TokenVerifier(SECRET).verify(token(roles=None))).roles == frozenset()


BAD = {
    "empty": "",
    "no token": "not-a-token",
    "no JSON": "a.b.c",
    "another secret": token(SECRET[::-1]),
    "another algorithm": token(algorithm="HS512"),
    "unsigned": jwt.encode(
        {"sub": "ann", "exp": utc_now() + timedelta(hours=1)}, "", algorithm="none"
    ),
    "no exp": token(exp=None),
    "no sub": token(sub=None),
    "expired": token(exp=utc_now() - timedelta(seconds=1)),
    "not yet": token(nbf=utc_now() + timedelta(hours=1)),
    "roles are a text": token(roles="admin"),
    "roles are numbers": token(roles=[1]),
    "sub is a number": token(sub=7),
    "more than it": token() + "x",
    "no signature": token().rpartition(".")[0] + ".",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_a_bad_token_is_refused(bad: str) -> None:
    with pytest.raises(Unauthenticated):
        await TokenVerifier(SECRET).verify(bad)


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"iss": "us", "aud": "upnext"}, True),
        ({"iss": "us", "aud": ["other", "upnext"]}, True),
        ({"iss": "them", "aud": "upnext"}, False),
        ({"iss": "us", "aud": "other"}, False),
        ({"iss": "us"}, False),
        ({"aud": "upnext"}, False),
    ],
)
async def test_issuer_and_audience_are_checked_when_configured(
    claims: dict[str, Any], *, good: bool
) -> None:
    checking = TokenVerifier(SECRET, issuer="us", audience="upnext")
    if good:
        assert (await checking.verify(token(**claims))).sub == "ann"
    else:
        with pytest.raises(Unauthenticated):
            await checking.verify(token(**claims))


async def test_an_audience_nobody_asked_for_is_no_obstacle() -> None:
    assert (await TokenVerifier(SECRET).verify(token(aud="another", iss="them"))).sub == "ann"


async def test_a_verified_token_is_remembered_for_a_while() -> None:
    watch = Watch()
    verifying = TokenVerifier(SECRET, clock=watch)
    text = token()
    principal = await verifying.verify(text)
    assert await verifying.verify(text) is principal
    watch.now += timedelta(seconds=REMEMBER_SECONDS)
    assert await verifying.verify(text) is not principal


async def test_a_long_token_is_checked_each_time() -> None:
    verifying = TokenVerifier(SECRET)
    text = token(more="x" * 2000)
    assert (await verifying.verify(text)).sub == "ann"
    assert verifying.known(text) is None


async def test_it_is_never_remembered_past_its_end() -> None:
    watch = Watch()
    verifying = TokenVerifier(SECRET, clock=watch)
    text = token(exp=watch.now + timedelta(seconds=60))
    assert (await verifying.verify(text)).sub == "ann"
    watch.now += timedelta(seconds=60)
    with pytest.raises(Unauthenticated, match="expired"):
        await verifying.verify(text)


async def test_memory_is_bounded() -> None:
    verifying = TokenVerifier(SECRET)
    first = token(sub="first")
    await verifying.verify(first)
    entry = verifying._remembered[first]
    for number in range(REMEMBERED - 1):
        verifying._remembered[str(number)] = entry
    last = token(sub="last")
    await verifying.verify(last)
    assert (verifying.known(first), len(verifying._remembered)) == (None, REMEMBERED)
    assert verifying.known(last) is not None


@pytest.mark.parametrize("given", [{}, {"jwt_secret": ""}, {"jwt_secret": "x" * 31}])
def test_without_a_usable_secret_the_process_does_not_start(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UPNEXT_JWT_SECRET", raising=False)
    with pytest.raises(SetupError, match="UPNEXT_JWT_SECRET"):
        verifier(load(given))


async def test_settings_say_what_is_checked() -> None:
    checking = verifier(load({"jwt_secret": SECRET, "jwt_issuer": "us", "jwt_audience": "upnext"}))
    assert (await checking.verify(token(iss="us", aud="upnext"))).sub == "ann"
    with pytest.raises(Unauthenticated):
        await checking.verify(token())
