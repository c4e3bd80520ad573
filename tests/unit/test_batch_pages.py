"""Batch pages: everybody once, each with the list they would get alone; a fault is one user's."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.answers import Asked
from api.batch_pages import LIST_LENGTH, BatchPages
from core.errors import Unavailable
from core.types import UserId
from tests.asking import ADMIN, problem
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit

USERS = [UserId(f"u{number:02}") for number in range(30)]


@pytest.fixture
async def filled(world: World) -> World:
    draw = np.random.default_rng(1)
    for user_id in USERS:
        await world.watched(user_id, *draw.choice(NAMES, draw.integers(1, 12), replace=False))
    return world


def pages_of(world: World, states: Any = None, search: Any = None) -> BatchPages:
    return BatchPages(
        directory=world.history,
        states=states or world.history,
        search=search or world.search,
        moment=world.moment,
        recent=50,
        connections=1,
    )


async def test_everybody_has_the_list_they_would_get_alone(filled: World) -> None:
    pages = pages_of(filled)
    results = [
        result for number in (1, 2, 3, 4) for result in (await pages.page(number, 8)).results
    ]
    assert [result.user_id for result in results] == USERS
    for result in results:
        alone = await filled.recommender.recommend(Asked(UserId(result.user_id), LIST_LENGTH))
        assert result.status == "success"
        assert result.recommendations == alone.recommendations


async def test_a_pages_users_are_searched_for_together(filled: World) -> None:
    await pages_of(filled).page(1, 30)
    assert filled.history.calls == ["count", "after", "states_of"]
    assert len(filled.search.calls) < 8  # not two for each of thirty users


async def test_one_users_failure_is_theirs_alone(filled: World) -> None:
    class Faulty:
        """An encoder that breaks for one history."""

        def encode(self, vectors: Any, weights: Any) -> Any:
            if np.array_equal(vectors, broken):
                raise ZeroDivisionError
            return filled.version.encoder.encode(vectors, weights)

        def stranger(self, vectors: Any, watches: Any) -> Any:
            return filled.version.encoder.stranger(vectors, watches)

    state = await filled.history_store.state(USERS[3], 50)
    assert state is not None
    broken, _ = filled.version.items.take([watch.video_id for watch in state.recent])
    filled.live.swap(replace(filled.version, encoder=Faulty()))
    page = await pages_of(filled).page(1, 10)
    failed = [result for result in page.results if result.status == "failed"]
    assert [(result.user_id, result.error) for result in failed] == [(USERS[3], "internal")]
    assert "ZeroDivision" not in str(failed[0].message)
    assert (page.summary.success_count, page.summary.failed_count) == (9, 1)


async def test_without_a_source_a_list_is_not_given_as_the_users_own(filled: World) -> None:
    filled.search.away = True
    page = await pages_of(filled).page(1, 3)
    assert [result.error for result in page.results] == ["unavailable"] * 3
    assert "nearest" in str(page.results[0].message)


async def test_who_was_erased_meanwhile_is_named(filled: World) -> None:
    class Forgetful:
        """States of all but one."""

        async def states_of(self, user_ids: Any, recent: int) -> Any:
            found = await filled.history_store.states_of(user_ids, recent)
            return {user: state for user, state in found.items() if user != USERS[1]}

    page = await pages_of(filled, states=Forgetful()).page(1, 3)
    assert [result.error for result in page.results][1] == "user_not_found"
    assert [result.status for result in page.results] == ["success", "failed", "success"]


async def test_without_the_truth_there_is_no_page(filled: World) -> None:
    filled.history.away = True
    with pytest.raises(Unavailable):
        await pages_of(filled).page(1, 3)


async def test_over_http(client: TestClient[Litestar], filled: World) -> None:
    page = client.get("/recommendations/batch?page=2&limit=4", headers=ADMIN).json()
    assert page.keys() == {"page", "limit", "total_users", "results", "summary", "metadata"}
    assert (page["page"], page["limit"], page["total_users"]) == (2, 4, 30)
    assert [result.keys() for result in page["results"]] == [
        {"user_id", "status", "recommendations"}
    ] * 4
    assert page["summary"].keys() == {"success_count", "failed_count", "processing_time_ms"}
    assert page["metadata"]["model_version"] == filled.version.version
    assert client.get("/recommendations/batch", headers=ADMIN).json()["limit"] == 20
    past = client.get("/recommendations/batch?page=1000000000&limit=100", headers=ADMIN).json()
    assert past["results"] == []
    for query in ("page=0", "limit=0", "limit=101", "page=1000000001", "size=3"):
        answer = client.get(f"/recommendations/batch?{query}", headers=ADMIN)
        problem(answer, 400, "invalid_parameter")


def test_over_http_without_postgres(client: TestClient[Litestar], world: World) -> None:
    world.history.away = True
    problem(client.get("/recommendations/batch", headers=ADMIN), 503, "unavailable")
