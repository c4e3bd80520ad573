"""GET /recs/stats: what was served in the last hour and day, and what was watched from it."""

from datetime import timedelta

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.impressions import Shown
from core.types import VideoId
from tests.asking import ADMIN, problem
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit


async def serve(world: World, name: str, times: int) -> None:
    """Serve a list of two videos so many times."""
    shown = Shown(
        name, "content_1", 1, ((VideoId(NAMES[0]), "nearest"), (VideoId(NAMES[1]), "popular"))
    )
    for _ in range(times):
        world.impressions.count(shown)
    await world.impressions.flush()


async def test_watches_are_traced_to_version_configuration_and_source(
    world: World, client: TestClient[Litestar]
) -> None:
    await serve(world, "early", 2)
    world.now += timedelta(hours=3)
    await serve(world, "late", 1)
    body = {"content_id": NAMES[1], "recommendation_id": "late"}
    assert client.post("/users/ann/watch-history", headers=ADMIN, json=body).status_code == 201

    stats = client.get("/recs/stats", headers=ADMIN).json()
    assert stats["last_hour"] == {
        "since": "2026-03-01T14:30:00Z",
        "lists": 1,
        "videos": 2,
        "watches": 1,
        "versions": [
            {
                "model_version": "content_1",
                "config_version": 1,
                "lists": 1,
                "videos": 2,
                "watches": 1,
                "sources": [
                    {"source": "nearest", "lists": 1, "videos": 1, "watches": 0},
                    {"source": "popular", "lists": 1, "videos": 1, "watches": 1},
                ],
            }
        ],
    }
    day = stats["last_day"]
    assert (day["lists"], day["videos"], day["watches"]) == (3, 6, 1)


async def test_before_anything_is_served_there_is_nothing(client: TestClient[Litestar]) -> None:
    stats = client.get("/recs/stats", headers=ADMIN).json()
    assert (stats["last_day"]["lists"], stats["last_day"]["versions"]) == (0, [])


async def test_without_postgres_there_are_none(world: World, client: TestClient[Litestar]) -> None:
    world.impression_store.away = True
    problem(client.get("/recs/stats", headers=ADMIN), 503, "unavailable")
