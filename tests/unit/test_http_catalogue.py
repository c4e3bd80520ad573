"""PUT, GET and DELETE /videos/{id} over HTTP."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from core.types import Change, VideoId
from tests.asking import ADMIN, problem
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit
FULL: dict[str, Any] = {
    "title": "Tëst",
    "description": "Two\nlines",
    "genres": ["drama", "sci-fi"],
    "duration_seconds": 5400.5,
    "language": "en",
    "creator_id": "c1",
    "published_at": "2020-05-01T12:30:00Z",
    "available": True,
    "available_from": "2020-01-01T00:00:00Z",
    "available_until": "2030-01-01T00:00:00Z",
    "regions": ["DE", "FR"],
    "maturity": 16,
}


def put(client: TestClient[Litestar], name: str, body: Any) -> Any:
    return client.put(f"/videos/{name}", headers=ADMIN, json=body)


def get(client: TestClient[Litestar], name: str) -> Any:
    return client.get(f"/videos/{name}", headers=ADMIN)


def test_a_video_comes_back_as_it_was_put(client: TestClient[Litestar]) -> None:
    added = put(client, "full", FULL)
    assert added.status_code == 201
    assert added.json() == {
        "id": "full",
        **FULL,
        "popularity_score": 0.0,
        "updated_at": "2026-03-01T12:30:00Z",
    }
    assert get(client, "full").json() == added.json()


def test_a_put_replaces_the_whole_video(client: TestClient[Litestar]) -> None:
    put(client, "full", FULL)
    changed = put(client, "full", {"title": "Only a title", "creator_id": 7})
    assert changed.status_code == 200
    body = changed.json()
    assert (body["description"], body["genres"], body["regions"]) == ("", [], [])
    assert (body["available"], body["maturity"], body["duration_seconds"]) == (True, 0, None)
    assert body["creator_id"] == "7"
    assert put(client, "full", {"title": "Only a title", "creator_id": 7}).status_code == 200


def test_popularity_is_what_lists_show(client: TestClient[Litestar]) -> None:
    listed = client.get("/recs/ann?type=popular&limit=1", headers=ADMIN).json()
    top = listed["recommendations"][0]
    assert get(client, top["content_id"]).json()["popularity_score"] == top["popularity_score"]


async def test_a_take_down_is_news_once_and_204_again(
    world: World, client: TestClient[Litestar]
) -> None:
    for _ in range(2):
        answer = client.delete(f"/videos/{NAMES[0]}", headers=ADMIN)
        assert (answer.status_code, answer.content) == (204, b"")
    assert world.video_store._store.changes[1:] == [Change("video", (VideoId(NAMES[0]),))]
    assert get(client, NAMES[0]).json()["available"] is False
    problem(client.delete("/videos/none", headers=ADMIN), 404, "content_not_found")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"title": ""}, "title"),
        ({"title": "  "}, "title"),
        ({"title": None}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"description": "x" * 20_001}, "description"),
        ({"genres": ["x"] * 33}, "genres"),
        ({"genres": [""]}, "genres"),
        ({"genres": [" "]}, "genres"),
        ({"genres": ["x" * 65]}, "genres"),
        ({"genres": "drama"}, "genres"),
        ({"duration_seconds": -1}, "duration_seconds"),
        ({"language": ""}, "language"),
        ({"creator_id": "a b"}, "creator_id"),
        ({"creator_id": 10**200}, "creator_id"),
        ({"published_at": "2020-05-01"}, "published_at"),
        ({"published_at": "1020-05-01T00:00:00Z"}, "published_at"),
        ({"available_until": "2020-01-01T00:00:00Z"}, "available_until"),
        ({"available": "perhaps"}, "available"),
        ({"available": "true"}, "available"),
        ({"available": 1}, "available"),
        ({"published_at": 1_600_000_000}, "published_at"),
        ({"duration_seconds": "90"}, "duration_seconds"),
        ({"duration_seconds": "null"}, "duration_seconds"),
        ({"genres": ["drama", 7]}, "genres"),
        ({"regions": ["x"] * 301}, "regions"),
        ({"maturity": -1}, "maturity"),
        ({"maturity": 121}, "maturity"),
        ({"maturity": 1.5}, "maturity"),
        ({"id": "full"}, "id"),
        ({"popularity_score": 1}, "popularity_score"),
    ],
)
def test_what_breaks_a_rule_is_named(
    client: TestClient[Litestar], change: dict[str, Any], named: str
) -> None:
    body = problem(put(client, "full", {**FULL, **change}), 400, "invalid_parameter")
    assert named in body["detail"]
    problem(get(client, "full"), 404, "content_not_found")


def test_the_longest_video_fits(client: TestClient[Litestar]) -> None:
    longest = {
        "title": "\U0001f3ac" * 500,
        "description": "\U0001f3ac" * 20_000,
        "genres": [f"{number:064}" for number in range(32)],
        "regions": [f"{number:064}" for number in range(300)],
    }
    assert put(client, "longest", longest).status_code == 201
    too_long = {**longest, "description": "\U0001f3ac" * 200_000}
    problem(put(client, "longest", too_long), 413, "payload_too_large")


async def test_without_postgres_there_is_no_catalogue(
    world: World, client: TestClient[Litestar]
) -> None:
    world.video_store.away = True
    for answer in (
        put(client, NAMES[0], FULL),
        get(client, NAMES[0]),
        client.delete(f"/videos/{NAMES[0]}", headers=ADMIN),
    ):
        problem(answer, 503, "unavailable")
