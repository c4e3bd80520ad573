"""Millions of made-up watches, written by the server itself: faster than sending them.

Videos are in groups, like genres; a user likes two of them, and the first of a group are watched
more than the others, so there is something to learn.
"""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.types import UserId, Video, VideoId
from embeddings.dataset import Histories
from embeddings.items import normalised
from embeddings.text import CONTENT_DIM
from storage.postgres.engine import transaction
from storage.postgres.videos import PostgresVideos

GROUPS, WATCHES_A_USER, PAGE = 100, 20, 5000
SECOND_GROUP = 0.3  # of a user's watches are of the other group they like
_WATCHES = text(
    f"""
    INSERT INTO interactions (event_key, user_id, video_id, kind, occurred_at, weight)
    SELECT gen_random_uuid(), 'user-' || of_user,
           'video-' || place * {GROUPS} + (of_user * 7 + liked * 13) % {GROUPS},
           'watch', now() - make_interval(mins => minutes), 1 - random() * 0.5
    FROM (
        SELECT number / {WATCHES_A_USER} AS of_user, (random() < {SECOND_GROUP})::int AS liked,
               floor(power(random(), 2) * CAST(:videos AS int) / {GROUPS})::int AS place,
               (random() * 60 * 24 * 365)::int AS minutes
        FROM generate_series(1, CAST(:interactions AS int)) AS number
    ) AS drawn
    """  # noqa: S608 (constants)
)
_SEED = text("SELECT setseed(0.5)")
_ANALYZE = text("ANALYZE interactions")


def catalogue(videos: int) -> list[Video]:
    """So many videos; video n is of group n % `GROUPS`."""
    return [
        Video(
            id=VideoId(f"video-{number}"),
            title=f"Part {number // GROUPS} of the long story of group {number % GROUPS}",
            genres=(f"genre {number % 20}",),
        )
        for number in range(videos)
    ]


def content_vectors(videos: int) -> NDArray[np.float32]:
    """What an encoder might say of `catalogue`, float32 (videos, 384): near by group."""
    random = np.random.default_rng(3)
    groups = random.normal(size=(GROUPS, CONTENT_DIM))
    noise = random.normal(size=(videos, CONTENT_DIM))
    return normalised((groups[np.arange(videos) % GROUPS] + noise).astype(np.float32))


def histories(interactions: int, videos: int) -> Histories:
    """What training would read of about so many watches by `fill`, without a database.

    A user who drew a video twice has it once, so there are a few less.
    """
    random = np.random.default_rng(5)
    users = -(-interactions // WATCHES_A_USER)
    of_user = np.arange(interactions) // WATCHES_A_USER
    liked = random.random(interactions) < SECOND_GROUP
    place = (random.random(interactions) ** 2 * (videos // GROUPS)).astype(np.int64)
    rows = place * GROUPS + (of_user * 7 + liked * 13) % GROUPS
    once = np.sort(np.unique(of_user * videos + rows, return_index=True)[1])
    return Histories(
        users=[UserId(f"user-{number}") for number in range(users)],
        offsets=np.searchsorted(of_user[once], np.arange(users + 1)),
        rows=rows[once].astype(np.int32),
        weights=(1 - random.random(len(once)) * 0.5).astype(np.float32),
        times=np.arange(len(once), dtype=np.float64),
        count=interactions,
        first=None,
        last=None,
    )


async def fill(engine: AsyncEngine, *, interactions: int, videos: int) -> None:
    """Write the catalogue and so many watches, 20 of each user. Raises `Unavailable`."""
    made = catalogue(videos)
    for start in range(0, len(made), PAGE):
        await PostgresVideos(engine).upsert_many(made[start : start + PAGE])
    async with transaction(engine) as connection:
        await connection.execute(_SEED)
        await connection.execute(_WATCHES, {"videos": videos, "interactions": interactions})
        await connection.execute(_ANALYZE)
