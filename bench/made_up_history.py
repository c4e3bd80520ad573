"""Millions of made-up watches, written by the server itself: faster than sending them.

Videos are in groups, like genres; a user likes two of them, and the first of a group are watched
more than the others, so there is something to learn.
"""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.types import Video, VideoId
from embeddings.items import normalised
from embeddings.text import CONTENT_DIM
from storage.postgres.engine import transaction
from storage.postgres.videos import PostgresVideos

GROUPS, WATCHES_A_USER, PAGE = 100, 20, 5000
_WATCHES = text(
    f"""
    INSERT INTO interactions (event_key, user_id, video_id, kind, occurred_at, weight)
    SELECT gen_random_uuid(), 'user-' || of_user,
           'video-' || place * {GROUPS} + (of_user * 7 + liked * 13) % {GROUPS},
           'watch', now() - make_interval(mins => minutes), 1 - random() * 0.5
    FROM (
        SELECT number / {WATCHES_A_USER} AS of_user, (random() < 0.3)::int AS liked,
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


async def fill(engine: AsyncEngine, *, interactions: int, videos: int) -> None:
    """Write the catalogue and so many watches, 20 of each user. Raises `Unavailable`."""
    made = catalogue(videos)
    for start in range(0, len(made), PAGE):
        await PostgresVideos(engine).upsert_many(made[start : start + PAGE])
    async with transaction(engine) as connection:
        await connection.execute(_SEED)
        await connection.execute(_WATCHES, {"videos": videos, "interactions": interactions})
        await connection.execute(_ANALYZE)
