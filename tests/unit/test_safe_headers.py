"""No answer, however it comes about, can be taken for something else by a browser."""

import asyncio
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from litestar import Litestar, get
from litestar.testing import TestClient

from api.auth import TokenVerifier
from api.http import application
from core.errors import SetupError
from core.settings import load
from tests.asking import SECRET, bearer
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit

ANN = bearer("ann", "user")
SHOP = "https://shop.example"
SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
Client = TestClient[Litestar]


@get("/crash")
async def crash() -> None:
    """A handler that nobody foresaw."""
    raise RuntimeError("it cannot be done")


def client_of(**more: Any) -> Iterator[Client]:
    world = World(local_bytes=1_000_000)
    asyncio.run(world.watched("ann", *NAMES[:5]))
    app = application(world.compose, TokenVerifier(SECRET), access_log_sample=0, **more)
    app.register(crash)
    app.state.reached = reached = []
    recommend = world.recommender.recommend

    async def noted(*args: Any, **options: Any) -> Any:
        reached.append(args)
        return await recommend(*args, **options)

    world.recommender.recommend = noted  # type: ignore[method-assign]
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client() -> Iterator[Client]:
    yield from client_of()


@pytest.fixture
def shared() -> Iterator[Client]:
    yield from client_of(cors_origins=f"{SHOP}, http://127.0.0.1:3000")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/recs/ann", 200),
        ("GET", "/recs/bob", 403),
        ("GET", "/recs/ann?limit=0", 400),
        ("GET", "/nowhere", 404),
        ("PATCH", "/recs/ann", 405),
        ("OPTIONS", "/recs/ann", 204),
        ("GET", "/crash", 500),
        ("GET", "/health", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs/nowhere", 404),
        ("POST", "/recs/rank", 415),
    ],
)
def test_every_answer_is_safe(client: Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path, headers=ANN)
    assert answer.status_code == status, answer.text
    assert {name: answer.headers.get(name) for name in SAFE} == SAFE
    assert not {"server", "x-powered-by", "strict-transport-security"} & set(answer.headers)
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_so_is_one_without_a_token_and_one_from_memory(client: Client) -> None:
    answers = [client.get("/recs/ann"), *(client.get("/recs/ann", headers=ANN) for _ in range(3))]
    assert [answer.status_code for answer in answers] == [401, 200, 200, 200]
    assert len(client.app.state.reached) <= 2  # the last came from memory
    for answer in answers:
        assert {name: answer.headers.get(name) for name in SAFE} == SAFE


@pytest.mark.parametrize("path", ["/recs/ann", "/nowhere"])
def test_where_the_api_serves_tls_it_says_so(client: Client, path: str) -> None:
    for _ in range(3):  # the third comes from memory
        answer = client.get(f"https://testserver.local{path}", headers=ANN)
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_the_page_of_the_docs_may_run_what_is_its_own_and_nothing_else(client: Client) -> None:
    page = client.get("/docs")
    policy = dict(
        directive.split(" ", 1) for directive in page.headers["content-security-policy"].split("; ")
    )
    assert (policy["default-src"], policy["frame-ancestors"]) == ("'none'", "'none'")
    [inline] = re.findall(rb"<script type=[^>]*>(.+?)</script>", page.content, re.DOTALL)
    hashed = b64encode(sha256(inline).digest()).decode()
    assert policy["script-src"] == f"'self' 'sha256-{hashed}'"
    files = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    types = {client.get(file).headers["content-type"].split(";")[0] for file in files}
    assert len(files) == 3  # with `nosniff`, a file of another type is not used
    assert types == {"text/javascript", "text/css"}
    assert page.headers["x-content-type-options"] == "nosniff"


def test_pages_of_an_origin_that_is_named_may_call(shared: Client) -> None:
    asked = {"Origin": SHOP, "Access-Control-Request-Method": "GET"}
    allowed = shared.options(
        "/recs/ann", headers={**asked, "Access-Control-Request-Headers": "authorization"}
    )
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == SHOP
    assert "authorization" in allowed.headers["access-control-allow-headers"]
    assert {name: allowed.headers.get(name) for name in SAFE} == SAFE
    answers = [shared.get("/recs/ann", headers={**ANN, "Origin": SHOP}) for _ in range(4)]
    assert 1 <= len(shared.app.state.reached) <= 2  # the others came from memory
    assert answers[0].headers["access-control-allow-origin"] == SHOP
    for answer in answers:
        assert "access-control-allow-credentials" not in answer.headers
        assert {*answer.headers} == {*answers[0].headers}
        for name in ("access-control-", "vary"):
            found = {k: v for k, v in answer.headers.items() if k.startswith(name)}
            assert found == {k: v for k, v in answers[0].headers.items() if k.startswith(name)}
    assert "X-Request-ID" in answers[0].headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null"],
)
def test_pages_of_another_may_not(shared: Client, origin: str) -> None:
    preflight = shared.options(
        "/recs/ann", headers={"Origin": origin, "Access-Control-Request-Method": "GET"}
    )
    assert preflight.status_code == 400
    for _ in range(3):
        answer = shared.get("/recs/ann", headers={**ANN, "Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in preflight.headers


def test_who_is_no_browser_gets_what_it_always_got(shared: Client) -> None:
    answer = shared.get("/recs/ann", headers=ANN)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "named",
    ["*", "https://*.example", "shop.example", "https://shop.example/path", "null", f"{SHOP},*"],
)
def test_what_is_no_origin_is_refused_at_the_start(named: str) -> None:
    with pytest.raises(SetupError, match="UPNEXT_CORS_ORIGINS"):
        load({"cors_origins": named})
