"""What goes on is counted as it happens, and nothing else is."""

from contextlib import AsyncExitStack

import pytest
from litestar.testing import TestClient

from api.answers import Asked
from api.auth import TokenVerifier
from api.http import application
from core.types import UserId, VideoId
from tests import consumers
from tests.asking import SECRET, bearer
from tests.eventful import event
from tests.measured import counts
from tests.serving import NAMES, World

pytestmark = pytest.mark.unit

ANN = UserId("ann")
NOTHING = {"upnext_overloaded_answers_total": 0.0, "upnext_failed_inferences_total": 0.0}
BOTH = {"upnext_overloaded_answers_total": 2.0, "upnext_failed_inferences_total": 2.0}


def without(reason: str) -> str:
    return f'upnext_degraded_answers_total{{reason="{reason}"}}'


@pytest.fixture
async def world() -> World:
    made = World()
    await made.watched("ann", *NAMES[-3:])
    return made


async def test_lists_that_something_stood_in_for(world: World) -> None:
    world.cache.away = True
    with counts({without("redis"): 1, **NOTHING}):
        await world.recommender.recommend(Asked(ANN))


async def test_lists_that_there_was_no_room_to_make(world: World) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(16):
            await stack.enter_async_context(world.admission.enter())
        with counts({without("overload"): 2, without("redis"): 0, **BOTH}):
            await world.recommender.recommend(Asked(ANN))
            await world.recommender.similar(VideoId(NAMES[0]))
    with counts({without("overload"): 0, **NOTHING}):
        await world.recommender.recommend(Asked(ANN))


def test_answers_of_429_by_role() -> None:
    world = World(user_limit=2)
    with (
        TestClient(application(world.compose, TokenVerifier(SECRET))) as client,
        counts({
            'upnext_limited_answers_total{role="user"}': 2,
            'upnext_limited_answers_total{role="none"}': 0,
        }),
    ):  # fmt: skip
        asked = [client.get("/recs/ann", headers=bearer("ann", "user")) for _ in range(4)]
        assert [answer.status_code for answer in asked] == [200, 200, 429, 429]
        assert client.get("/recs/ann").status_code == 401


def test_news_that_may_have_been_missed() -> None:
    with counts(
        {'upnext_notices_total{outcome="gap"}': 1, 'upnext_notices_total{outcome="silence"}': 2}
    ):
        world = World()
        for why in ("gap", "silence", "silence"):
            world.local.lose(why)


async def test_events_by_type_and_by_what_became_of_them() -> None:
    world = consumers.World()
    watch = event("u1", "v1")
    await world.publish(watch, event("u2", "v2", rating=4.0), event("u1", "v3", rating=9), watch)
    world.history.erase(consumers.U2)
    one = [
        f'upnext_event_outcomes_total{{outcome="{it}"}}' for it in ("accepted", "dead", "erased")
    ]
    with counts({
        **dict.fromkeys(one, 1.0),
        'upnext_event_outcomes_total{outcome="duplicates"}': 1,
        'upnext_events_total{type="VideoWatched"}': 2,
        'upnext_events_total{type="VideoRated"}': 1,
        "upnext_event_batch_seconds_count": 1,
    }):  # fmt: skip
        assert await world.consumer().step()
