"""POST /users/{id}/ratings over HTTP."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.asking import ADMIN, problem
from tests.serving import NAMES

pytestmark = pytest.mark.unit


def post(client: TestClient[Litestar], body: Any, **headers: str) -> Any:
    return client.post("/users/ann/ratings", headers={**ADMIN, **headers}, json=body)


def test_a_rating_is_201_and_its_repeat_200(client: TestClient[Litestar]) -> None:
    body = {"content_id": NAMES[0], "rating": 4.5}
    key = {"Idempotency-Key": "k"}
    first, second = post(client, body, **key), post(client, body, **key)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json().keys() == {"user_id", "content_id", "occurred_at", "duplicate"}
    assert second.json() == {**first.json(), "duplicate": True}
    problem(post(client, {**body, "rating": 5}, **key), 409, "conflict")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"content_id": NAMES[0]}, "rating"),
        ({"content_id": NAMES[0], "rating": 0.4}, "rating"),
        ({"content_id": NAMES[0], "rating": 5.5}, "rating"),
        ({"content_id": NAMES[0], "rating": None}, "rating"),
        ({"content_id": NAMES[0], "rating": "4"}, "rating"),
        ({"content_id": NAMES[0], "rating": 4, "occurred_at": "2026-01-01T00:00:00Z"}, "occurred"),
        ({"content_id": "a b", "rating": 4}, "content_id"),
        ({"rating": 4}, "content_id"),
    ],
)
def test_invalid_bodies(client: TestClient[Litestar], body: Any, field: str) -> None:
    assert field in problem(post(client, body), 400, "invalid_parameter")["detail"]


def test_an_unknown_video_is_404(client: TestClient[Litestar]) -> None:
    problem(post(client, {"content_id": "none", "rating": 3}), 404, "content_not_found")
