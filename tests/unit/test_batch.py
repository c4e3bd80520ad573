"""Lists of many at once are the lists of each, and one that fails fails alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from api.answers import Asked
from api.batch import Batch
from core.errors import Unavailable
from core.types import RankingConfig, UserId
from retrieval.exact import ExactSearch
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit

USERS = [UserId(f"u{number:02}") for number in range(30)]


@pytest.fixture
async def world() -> World:
    world = World()
    draw = np.random.default_rng(1)
    for user_id in USERS:
        await world.watched(user_id, *draw.choice(NAMES, draw.integers(1, 12), replace=False))
    return world


def batch_of(world: World, search: Any = None) -> Batch:
    return Batch(world.history, search or world.search, recent=50)


async def test_each_list_is_the_one_that_the_service_gives(world: World) -> None:
    exact = ExactSearch(world.live.open_versions, most_bytes=1_000_000)
    for search in (world.search, exact):
        page = await batch_of(world, search).page(USERS, world.moment())
        assert [state.user_id for state, _ in page.lists] == USERS
        for state, made in page.lists:
            shown = world.moment().shown(made.items)
            assert (
                shown
                == (await world.recommender.recommend(Asked(state.user_id, 100))).recommendations
            )
        assert page.failed == {}


async def test_pages_one_after_the_other_are_one_page(world: World) -> None:
    moment = world.moment()
    batch = batch_of(world)
    parts = [await batch.page(USERS[at : at + 7], moment, 10) for at in range(0, 30, 7)]
    whole = await batch_of(world).page(USERS, moment)
    assert [made.items for part in parts for _, made in part.lists] == [
        made.items[:10] for _, made in whole.lists
    ]


async def test_what_is_common_is_asked_once(world: World) -> None:
    batch = batch_of(world)
    await batch.page(USERS, world.moment())
    assert world.history.calls == ["states_of"]
    assert len(world.search.calls) < 8  # not two for each of thirty users
    before = len(world.search.calls)
    await batch.page(USERS, world.moment())
    assert len(world.search.calls) == before + 1  # what is like a video is remembered


async def test_a_user_nobody_has_heard_of_is_named(world: World) -> None:
    page = await batch_of(world).page([USERS[0], UserId("nobody"), USERS[1]], world.moment())
    assert [state.user_id for state, _ in page.lists] == USERS[:2]
    assert page.failed == {"nobody": "user_not_found"}


async def test_a_user_who_fails_fails_alone(world: World) -> None:
    class Faulty:
        """An encoder that breaks for one history."""

        def encode(self, vectors: Any, weights: Any) -> Any:
            if np.array_equal(vectors, broken):
                raise ZeroDivisionError
            return world.version.encoder.encode(vectors, weights)

        def stranger(self, vectors: Any, watches: Any) -> Any:
            return world.version.encoder.stranger(vectors, watches)

    state = await world.history_store.state(USERS[3], 50)
    assert state is not None
    broken, _ = world.version.items.take([watch.video_id for watch in state.recent])
    moment = world.moment()
    faulty = structs.replace(moment, live=replace(world.version, encoder=Faulty()))
    page = await batch_of(world).page(USERS, faulty)
    assert list(page.failed) == [USERS[3]]
    assert "ZeroDivisionError" in page.failed[USERS[3]]
    assert len(page.lists) == len(USERS) - 1


async def test_a_list_that_something_is_missing_from_is_none(world: World) -> None:
    world.search.away = True
    page = await batch_of(world).page(USERS[:3], world.moment())
    assert page.lists == []
    assert set(page.failed) == set(USERS[:3])
    assert "milvus" in page.failed[USERS[0]]


async def test_without_the_truth_there_is_no_page(world: World) -> None:
    world.history.away = True
    with pytest.raises(Unavailable):
        await batch_of(world).page(USERS, world.moment())


async def test_before_there_is_a_model_the_lists_are_those_without_one(world: World) -> None:
    world.live.swap(None)
    world.config = RankingConfig(diversity=0)
    page = await batch_of(world).page(USERS, world.moment(), 10)
    [(state, made), *_] = page.lists
    shown = world.moment().shown(made.items)
    assert shown == (await world.recommender.recommend(Asked(state.user_id, 10))).recommendations
