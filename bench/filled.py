"""A history in PostgreSQL, made by PostgreSQL: millions of rows in about a minute."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.postgres.engine import transaction

# Users are equally busy; a video's share falls with its number, as it does in real life.
INTERACTIONS = """
    INSERT INTO interactions (
        event_key, user_id, video_id, kind, occurred_at, weight, recommendation_id
    )
    SELECT CAST(md5('e' || n) AS uuid), 'u' || (CAST(n AS bigint) * 7919 % {users}),
        'v' || floor({videos} * power(random(), 3)), 'watch',
        timestamptz '2025-01-01' + n * interval '1 second' * {seconds}, 0.05 + 0.95 * random(),
        CASE WHEN n % 3 = 0 THEN 'r' || n / 9 END
    FROM generate_series(1, {rows}) AS n
"""
USERS = """
    INSERT INTO users (user_id, revision, last_event_at)
    SELECT user_id, count(*), max(occurred_at) FROM interactions GROUP BY user_id
"""
POPULARITY = """
    INSERT INTO popularity (video_id, shard, watches, log2_slow, log2_fast, updated_at)
    SELECT video_id, shard, count(*), max(extract(epoch FROM occurred_at)) / 1209600,
        max(extract(epoch FROM occurred_at)) / 86400, max(occurred_at)
    FROM (SELECT *, floor(4 * random()) AS shard FROM interactions) AS sharded
    GROUP BY video_id, shard
"""


async def fill(
    engine: AsyncEngine, *, rows: int, users: int, videos: int, seconds: float = 10
) -> None:
    """Fill empty tables: `rows` watches, `seconds` apart from 2025 on, with users and counters."""
    interactions = INTERACTIONS.format(rows=rows, users=users, videos=videos, seconds=seconds)
    for statement in (interactions, USERS, POPULARITY):
        async with transaction(engine) as connection:
            await connection.execute(text(statement))
    await vacuum(engine)


async def vacuum(engine: AsyncEngine) -> None:
    """Bring the planner's statistics up to date, and the pages into the form they stay in."""
    async with engine.connect() as plain:
        free = await plain.execution_options(isolation_level="AUTOCOMMIT")
        await free.execute(text("VACUUM ANALYZE"))
        await free.execute(text("CHECKPOINT"))
