"""Whether there is anything to learn from: counts that end as soon as they are enough."""

import json
from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.postgres.engine import reading

MOST = 10_000
"""No count of interactions goes beyond: the first so many say enough of millions."""
FEW = 100
"""No count of videos does."""

_SPAN = """
    (CAST(:start AS timestamptz) IS NULL OR occurred_at >= :start)
    AND (CAST(:end AS timestamptz) IS NULL OR occurred_at < :end)
"""
_COUNTS = text(
    f"""
    WITH first AS (
        SELECT user_id, EXISTS (SELECT FROM videos WHERE videos.id = video_id) AS known
        FROM interactions WHERE {_SPAN} LIMIT :most
    )
    SELECT count(*) AS interactions, count(DISTINCT user_id) AS users,
           count(*) FILTER (WHERE known) AS known,
           (SELECT count(*) FROM (SELECT FROM videos LIMIT :few) AS found) AS videos,
           (SELECT count(*) FROM (
               SELECT FROM videos WHERE concat(title, description, array_to_string(genres, ''))
               ~ '[^[:digit:][:punct:][:space:]]' LIMIT :few) AS found) AS told
    FROM first
    """  # noqa: S608 (constants)
)
_ABOUT = text(f"EXPLAIN (FORMAT JSON) SELECT FROM interactions WHERE {_SPAN}")


class Counts(msgspec.Struct, frozen=True):
    """How much there is, up to `MOST` and `FEW`.

    `interactions` of the span and `users` among these, `known` of them with a video of the
    catalogue; `videos` in all, `told` those that say more than digits.
    """

    interactions: int
    users: int
    known: int
    videos: int
    told: int


async def counts(engine: AsyncEngine, start: datetime | None, end: datetime | None) -> Counts:
    """Count interactions with start <= occurred_at < end, and videos. Raises `Unavailable`."""
    async with reading(engine) as connection:
        asked = {"start": start, "end": end, "most": MOST, "few": FEW}
        return Counts(**(await connection.execute(_COUNTS, asked)).one()._asdict())


async def about(engine: AsyncEngine, start: datetime | None, end: datetime | None) -> int:
    """How many interactions the planner expects in that span. Raises `Unavailable`."""
    async with reading(engine) as connection:
        found = await connection.scalar(_ABOUT, {"start": start, "end": end})
        plan = found if isinstance(found, list) else json.loads(found)
        return int(plan[0]["Plan"]["Plan Rows"])
