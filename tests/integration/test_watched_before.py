"""Which videos are new to their users."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from core.types import UserId, VideoId
from storage.postgres.earlier import watched_before
from storage.postgres.interactions import PostgresInteractions
from tests.histories import START, watch

pytestmark = pytest.mark.integration


async def test_what_was_watched_before_a_moment(engine: AsyncEngine) -> None:
    await PostgresInteractions(engine).add_many(
        [
            watch("1", "ann", "a", hours=1),
            watch("2", "ann", "a", hours=9),
            watch("3", "ann", "b", hours=5),
            watch("4", "bob", "c", hours=2),
        ]
    )
    pairs = [("ann", "a"), ("ann", "b"), ("bob", "a"), ("bob", "c"), ("cid", "a")]
    users = [UserId(user) for user, _ in pairs]
    videos = [VideoId(video) for _, video in pairs]
    moment = START + timedelta(hours=5)
    found = await watched_before(engine, users, videos, moment)
    assert found.tolist() == [True, False, False, True, False]
    assert (await watched_before(engine, [], [], moment)).tolist() == []
