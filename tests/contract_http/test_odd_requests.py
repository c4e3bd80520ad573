"""Requests that nobody means: each gets an answer of the contract, never a fault of ours."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from api.problems import STATUS
from ingest.checks import ID
from tests.asking import ADMIN
from tests.contract_http.raw import Answered, Asked, ask
from tests.serving import NAMES

pytestmark = pytest.mark.contract

TOKEN = (b"authorization", ADMIN["Authorization"].encode())
JSON = (b"content-type", b"application/json")
PATHS = [
    ("GET", "/recs/{}"),
    ("GET", "/users/{}/recommendations"),
    ("POST", "/users/{}/watch-history"),
    ("DELETE", "/users/{}"),
    ("GET", "/videos/{}/similar"),
    ("GET", "/videos/{}"),
    ("DELETE", "/videos/{}"),
    ("GET", "/jobs/{}"),
    ("GET", "/jobs/{}/result"),
    ("GET", "/recs/models/{}"),
    ("POST", "/recs/models/{}/promote"),
]
QUERIES = [
    "/recs/ann",
    "/users/ann/recommendations",
    f"/videos/{NAMES[0]}/similar",
    "/recommendations/batch",
    "/recs/models",
]
PARAMETERS = [
    "limit", "type", "genre", "region", "max_maturity", "exclude", "explain", "cursor", "for_user",
    "page", "model_type", "status", "", "é", "limit[]", "LIMIT",
]  # fmt: skip
BODIES = [
    ("POST", "/users/ann/watch-history"),
    ("POST", "/users/ann/ratings"),
    ("POST", "/recs/rank"),
    ("PUT", f"/videos/{NAMES[0]}"),
    ("PUT", "/recs/config"),
    ("POST", "/recommendations/batch/jobs"),
    ("POST", "/recs/train"),
]
FIELDS = [
    "content_id", "watched_seconds", "video_seconds", "occurred_at", "recommendation_id", "rating",
    "user_id", "content_ids", "limit", "explain", "title", "description", "genres", "maturity",
    "regions", "available_from", "weights", "diversity", "creator_cap", "user_ids", "all",
    "active_within_days", "modelType", "startDate", "\x00",
]  # fmt: skip

percent_encoded = st.binary(max_size=12).map(lambda raw: b"".join(b"%%%02x" % byte for byte in raw))
pieces_of_path = st.one_of(
    percent_encoded,
    st.text(st.characters(codec="utf-8"), max_size=12).map(lambda text: text.encode()),
    st.sampled_from([b"", b"..", b"%2e%2e", b"%2f", b"//", b"%00", b"%zz", b"%", b"a" * 129, b"*"]),
)
values = st.one_of(
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(
        ["1e400", "NaN", "-0", "0x10", "\uff11\uff10", "true", "null", "\x00", "v1.0.AAAA", "=="]
    ),
    st.binary(max_size=30),
)
odd_json = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(["9999-12-31T23:59:60Z", "2026-02-30", 10**400, -1, "v000", "\ud800"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
    ),
    max_leaves=12,
)


def fits(answer: Answered) -> None:
    """Every answer has the contract's form, and none is a fault."""
    assert answer.status < 500, answer.body
    assert answer.headers["x-request-id"]
    if answer.status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        problem = json.loads(answer.body)
        assert STATUS[problem["code"]] == problem["status"] == answer.status


def quoted(value: object) -> bytes:
    raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    return b"".join(b"%%%02X" % byte for byte in raw)


@pytest.mark.parametrize(("method", "template"), PATHS)
@settings(max_examples=30)
@example(piece=b"%00")
@example(piece=b"%ff%fe")
@example(piece=b"ann%0a")
@given(piece=pieces_of_path)
def test_odd_ids(client: TestClient[Litestar], method: str, template: str, piece: bytes) -> None:
    path = template.encode().replace(b"{}", piece)
    body = b'{"content_id":"v000"}' if method == "POST" else b""
    answer = ask(client, Asked(method, path, headers=(TOKEN, JSON), body=body))
    fits(answer)
    text = Asked(method, piece).scope()["path"]
    if text and "/" not in text and not ID.fullmatch(text):
        assert answer.status in {400, 404, 405}


@pytest.mark.parametrize("path", QUERIES)
@settings(max_examples=60)
@given(given_=st.lists(st.tuples(st.sampled_from(PARAMETERS), values), max_size=4))
def test_odd_parameters(
    client: TestClient[Litestar], path: str, given_: list[tuple[str, Any]]
) -> None:
    query = b"&".join(quoted(name) + b"=" + quoted(value) for name, value in given_)
    fits(ask(client, Asked("GET", path.encode(), query, (TOKEN,))))


@pytest.mark.parametrize(
    "query",
    [
        b"limit",
        b"limit=",
        b"=",
        b"&&&",
        b"limit=5;type=new",
        b"limit=%zz",
        b"limit=%ff",
        b"\xff\xfe=1",
        b"limit=5&limit=5",
        b"exclude=" + b"v," * 20_000,
        b"exclude=" + b",".join(b"%d" % number for number in range(501)),
        b"genre=" + b"x" * 100_000,
        b"genre=a&" * 5_000,
        b"cursor=" + b"A" * 50_000,
        b"&".join(b"p%d=1" % number for number in range(2_000)),
        b"limit=" + b"9" * 5_000,
    ],
    ids=lambda query: repr(query[:24]),
)
@pytest.mark.parametrize("path", ["/recs/ann", f"/videos/{NAMES[0]}/similar"])
def test_odd_queries(client: TestClient[Litestar], path: str, query: bytes) -> None:
    answer = ask(client, Asked("GET", path.encode(), query, (TOKEN,)))
    fits(answer)
    if query != b"&&&":
        assert answer.status == 400


@pytest.mark.parametrize(("method", "path"), BODIES)
@settings(max_examples=60)
@given(body=st.one_of(odd_json, st.dictionaries(st.sampled_from(FIELDS), odd_json, max_size=5)))
def test_odd_bodies(client: TestClient[Litestar], method: str, path: str, body: Any) -> None:
    headers = (TOKEN, JSON, (b"if-match", b"1"))
    fits(ask(client, Asked(method, path.encode(), headers=headers, body=json.dumps(body).encode())))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"[" * 30_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"content_id":"v000","content_id":"v001"}',
        b'{"content_id":' + b"9" * 10_000 + b"}",
        b'{"content_id":1e999}',
        b'{"title":"\\ud800"}',
        b'{"content_ids":[' + b'"v000",' * 1_500 + b'"v000"],"user_id":"ann"}',
    ],
    ids=lambda body: repr(body[:16]),
)
@pytest.mark.parametrize(("method", "path"), BODIES)
def test_broken_bodies(client: TestClient[Litestar], method: str, path: str, body: bytes) -> None:
    headers = (TOKEN, JSON, (b"if-match", b"1"))
    fits(ask(client, Asked(method, path.encode(), headers=headers, body=body)))


@settings(max_examples=60)
@example(lines=[b"[" * 100_000])
@example(lines=[b'{"a":' * 20_000 + b"1" + b"}" * 20_000])
@given(lines=st.lists(st.one_of(st.binary(max_size=30), odd_json), max_size=8))
@pytest.mark.parametrize("path", ["/videos/import", "/events/import"])
def test_odd_lines(client: TestClient[Litestar], path: str, lines: list[Any]) -> None:
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    headers = (TOKEN, (b"content-type", b"application/x-ndjson"))
    answer = ask(client, Asked("POST", path.encode(), headers=headers, body=b"\n".join(raw)))
    fits(answer)
    assert answer.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-%d" % number, b"1") for number in range(500)],
        [(b"x-request-id", b"a"), (b"x-request-id", b"b")],
        [(b"x-request-id", b"\xff\x00\r\n")],
        [(b"authorization", b"Bearer other")],
        [(b"content-length", b"-1")],
        [(b"content-length", b"many")],
        [(b"content-type", b";;;=")],
        [(b"content-type", b"application/json; charset=\xff")],
        [(b"accept", b"image/png")],
        [(b"accept-encoding", b"\xff")],
        [(b"cookie", b"=;=\xff" * 1_000)],
        [(b"if-match", b"*"), (b"if-match", b"1")],
        [(b"idempotency-key", b"\xff" * 300)],
        [(b"idempotency-key", b"")],
        [(b"host", b"")],
        [(b"range", b"bytes=0-")],
        [(b"expect", b"100-continue")],
    ],
    ids=lambda headers: repr(headers[0])[:40],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/recs/ann"), *BODIES[:1], BODIES[4]])
def test_odd_headers(
    client: TestClient[Litestar], method: str, path: str, headers: list[tuple[bytes, bytes]]
) -> None:
    body = b"" if method == "GET" else b'{"content_id":"v000"}'
    kind = () if method == "GET" or headers[0][0] == b"content-type" else (JSON,)
    asked = Asked(method, path.encode(), headers=(TOKEN, *kind, *headers), body=body)
    fits(ask(client, asked))


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "PATCH", "TRACE", "CONNECT", "get", "BREW"])
def test_odd_methods(client: TestClient[Litestar], method: str) -> None:
    for path in (b"/recs/ann", b"/health", b"/nowhere", b"*"):
        answer = ask(client, Asked(method, path, headers=(TOKEN,)))
        assert answer.status < 500
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "token",
    [
        b"Bearer",
        b"Bearer ",
        b"Bearer  x",
        b"Bearer " + b"x." * 20_000,
        b"Bearer \xff\xfe",
        b"Bearer a.b.c",
        b"bearer e30.e30.",
        b"Basic YTpi",
        b"\x00",
    ],
)
def test_odd_tokens(client: TestClient[Litestar], token: bytes) -> None:
    answer = ask(client, Asked("GET", b"/recs/ann", headers=((b"authorization", token),)))
    fits(answer)
    assert answer.status == 401
