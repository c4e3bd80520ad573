"""Limits over HTTP: what limited answers carry, and who is limited."""

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.auth import TokenVerifier
from api.http import application
from tests.asking import ADMIN, SECRET, bearer, problem
from tests.serving import World

pytestmark = pytest.mark.unit
FIELDS = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


def test_every_answer_counts_and_says_what_is_left() -> None:
    ann = bearer("ann", "user")
    with TestClient(application(World(user_limit=5).compose, TokenVerifier(SECRET))) as client:
        paths = ["/recs/ann", "/recs/bob", "/recs/ann?limit=0", "/users/ann/recommendations"]
        for left, path in zip((4, 3, 2, 1), paths, strict=True):
            answer = client.get(path, headers=ann)
            assert answer.headers["ratelimit-limit"] == "5"
            assert answer.headers["ratelimit-remaining"] == str(left)
            assert 1 <= int(answer.headers["ratelimit-reset"]) <= 60
        assert client.get("/recs/ann", headers=ann).status_code == 200

        refused = client.get("/recs/ann", headers=ann)
        problem(refused, 429, "rate_limited")
        assert 60 <= int(refused.headers["retry-after"]) <= 61
        assert refused.headers["ratelimit-remaining"] == "0"
        assert refused.headers["ratelimit-reset"] == refused.headers["retry-after"]
        assert client.get("/recs/bob", headers=bearer("bob", "user")).status_code == 200
        assert client.get("/recs/ann", headers=ADMIN).status_code == 200


def test_only_limited_answers_carry_the_fields(client: TestClient[Litestar]) -> None:
    for headers in (ADMIN, bearer("ann", "user", "service"), {}):
        answer = client.get("/recs/ann", headers=headers)
        assert not [field for field in FIELDS if field in answer.headers]
    nobody = client.get("/recs/ann", headers=bearer("ann"))
    assert nobody.headers["ratelimit-limit"] == "500"
