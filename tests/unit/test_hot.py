"""The thin path answers what the handlers answer, and only when nothing has changed."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from msgspec import structs

from api.auth import TokenVerifier
from api.http import application
from core.metrics import LISTS
from core.types import RankingConfig
from tests.asking import ADMIN, SECRET, bearer, problem
from tests.polling import eventually
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit

ANN = bearer("ann", "user")
URLS = ["/recs/ann", "/recs/ann?limit=3&type=personalized", "/users/ann/recommendations?limit=100"]
LIMITS = {"ratelimit-remaining", "ratelimit-reset", "ratelimit-limit"}

Client = TestClient[Litestar]


@pytest.fixture
def world() -> World:
    return World(local_bytes=1_000_000)


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    app = application(world.compose, TokenVerifier(SECRET), access_log_sample=0)
    with TestClient(app, raise_server_exceptions=False) as client:
        asyncio.run(world.watched("ann", *NAMES[2:30:3]))
        yield client


def ids(answer: Any) -> list[str]:
    return [one["content_id"] for one in answer.json()["recommendations"]]


def warm(client: Client, url: str, headers: dict[str, str] = ANN) -> Any:
    """Ask until the answer is a finished one: made, kept, kept as it was sent."""
    client.get(url, headers=headers)
    return client.get(url, headers=headers)


@pytest.fixture
def asked(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What reached the use case behind the handlers."""
    seen: list[Any] = []
    recommend = world.recommender.recommend

    async def noted(*args: Any, **options: Any) -> Any:
        seen.append(args)
        return await recommend(*args, **options)

    monkeypatch.setattr(world.recommender, "recommend", noted)
    return seen


@pytest.mark.parametrize("url", URLS)
def test_both_ways_answer_alike(client: Client, asked: list[Any], url: str) -> None:
    headers = {**ANN, "X-Request-ID": "mine"}
    by_handler = warm(client, url, headers)
    before = len(asked)
    thin = client.get(url, headers=headers)
    assert len(asked) == before  # it went the thin way
    assert thin.status_code == by_handler.status_code == 200
    assert thin.content == by_handler.content
    assert thin.json()["metadata"]["cache_hit"]
    assert {*thin.headers} == {*by_handler.headers} >= LIMITS | {"x-request-id"}
    for name in {*thin.headers} - LIMITS:
        assert thin.headers[name] == by_handler.headers[name], name
    assert int(thin.headers["ratelimit-remaining"]) < int(by_handler.headers["ratelimit-remaining"])


def test_a_service_has_no_limit_either_way(client: Client, asked: list[Any]) -> None:
    by_handler = warm(client, "/recs/ann", ADMIN)
    before = len(asked)
    thin = client.get("/recs/ann", headers=ADMIN)
    assert len(asked) == before
    assert {*thin.headers} == {*by_handler.headers}
    assert not LIMITS & {*thin.headers}


@pytest.mark.parametrize(
    "query", ["?limit=07", "?limit=3&explain=true", "?genre=drama", "?type=popular", "?limit=3&x=1"]
)
def test_anything_else_is_the_handlers_affair(client: Client, asked: list[Any], query: str) -> None:
    warm(client, "/recs/ann")
    before = len(asked)
    answer = client.get(f"/recs/ann{query}", headers=ANN)
    assert answer.status_code == 400 or len(asked) == before + 1


def test_who_may_not_is_refused_as_ever(client: Client) -> None:
    warm(client, "/recs/ann")
    problem(client.get("/recs/ann"), 401, "unauthenticated")
    problem(client.get("/recs/ann", headers={"Authorization": "Bearer x"}), 401, "unauthenticated")
    eve = bearer("eve", "user")
    client.get("/recs/eve", headers=eve)  # her token is known now
    problem(client.get("/recs/ann", headers=eve), 403, "forbidden")
    assert client.post("/recs/ann", headers=ANN).status_code == 405


def test_the_limit_counts_finished_answers(world: World) -> None:
    world = World(local_bytes=1_000_000, user_limit=20)
    app = application(world.compose, TokenVerifier(SECRET))
    with TestClient(app, raise_server_exceptions=False) as client:
        asyncio.run(world.watched("ann", *NAMES[:5]))
        answers = [client.get("/recs/ann", headers=ANN) for _ in range(25)]
        assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 5


def test_a_take_down_is_gone_from_finished_answers(client: Client, world: World) -> None:
    first = warm(client, "/recs/ann").json()["recommendations"][0]["content_id"]
    world.take_down(first)
    for _ in range(3):
        shown = ids(client.get("/recs/ann", headers=ANN))
        assert first not in shown
        assert len(shown) == 10


def test_a_window_that_closes_is_gone_from_finished_answers(client: Client, world: World) -> None:
    first = warm(client, "/recs/ann").json()["recommendations"][0]["content_id"]
    closes = world.now + timedelta(seconds=10)
    of = next(one for one in world.videos if one.id == first)
    world.catalogue.apply([structs.replace(of, available_until=closes)])
    warm(client, "/recs/ann")
    assert first in ids(client.get("/recs/ann", headers=ANN))
    world.now = closes
    assert first not in ids(client.get("/recs/ann", headers=ANN))


def test_popularity_alone_changes_no_finished_answer(
    client: Client, world: World, asked: list[Any]
) -> None:
    warm(client, "/recs/ann")
    before = len(asked)
    world.catalogue.apply_popularity([])
    client.get("/recs/ann", headers=ANN)
    assert len(asked) == before


@pytest.mark.parametrize("change", ["config", "model", "missing", "watch", "age", "lost"])
def test_whatever_changes_finished_answers_go(
    client: Client, world: World, asked: list[Any], change: str
) -> None:
    warm(client, "/recs/ann")
    before = len(asked)
    if change == "config":
        world.config = RankingConfig(version=2)
    elif change == "model":
        world.live.swap(None)
    elif change == "missing":
        world.live.missing = "artifacts"
    elif change == "watch":
        asyncio.run(world.watched("ann", NAMES[100]))
    elif change == "age":
        world.now += timedelta(seconds=world.config.soft_age_seconds)
    elif change == "lost":
        world.local.lose("gap")
    answer = client.get("/recs/ann", headers=ANN)
    assert answer.status_code == 200
    assert len(asked) == before + 1


def test_finished_answers_are_counted(client: Client, world: World) -> None:
    def counted() -> float:
        return float(LISTS.labels("local")._value.get())

    warm(client, "/recs/ann")
    before, shown = counted(), sum(world.impressions._served.values())
    client.get("/recs/ann", headers=ANN)
    eventually(lambda: counted() == before + 1)
    assert sum(world.impressions._served.values()) == shown + 1
