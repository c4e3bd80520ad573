"""Plans of the hot queries on about a million interactions, as Markdown: `docs/queries.md`.

python -m bench.explain > docs/queries.md
"""

import asyncio
import tempfile
import textwrap
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench.filled import fill, vacuum
from core.clock import utc_now
from core.settings import load
from storage.embedded.stack import EmbeddedStack
from storage.postgres import changes, impressions, interactions, migrate, outbox, users, videos
from storage.postgres.engine import pool, transaction

INTERACTIONS, USERS, VIDEOS = 1_000_000, 50_000, 20_000

FILL = (
    """
    INSERT INTO videos (id, title, description, genres, available, regions, maturity)
    SELECT DISTINCT video_id, 'Title', 'Text', ARRAY['drama'], true, CAST('{}' AS text[]), 0
    FROM interactions
    """,
    # Every list that was watched from in the last two days, and what four processes have counted.
    f"""
    INSERT INTO served_lists (
        recommendation_id, part, model_version, config_version, videos, sources
    )
    SELECT recommendation_id, 1, 'als_1', 1, array_agg(short_hash(video_id)),
        repeat('n', CAST(count(*) AS integer))
    FROM interactions
    WHERE recommendation_id IS NOT NULL
        AND occurred_at > timestamptz '2025-01-01' + {INTERACTIONS - 5760} * interval '30 seconds'
    GROUP BY recommendation_id
    """,  # noqa: S608 (constants)
    f"""
    INSERT INTO impressions (
        minute, writer, model_version, config_version, source, lists, videos
    )
    SELECT timestamptz '2025-01-01' + ({INTERACTIONS // 2} - n) * interval '1 minute', writer,
        'als_1', 1, source, 100, 1000
    FROM generate_series(1, 2880) AS n, generate_series(1, 4) AS writer,
        unnest(ARRAY['', 'n', 's', 't', 'p', 'w']) AS source
    """,  # noqa: S608 (constants)
    """
    INSERT INTO changes (kind, keys)
    SELECT 'video', ARRAY['v' || n] FROM generate_series(1, 5000) AS n
    """,
    """
    INSERT INTO outbox (message_id, type, data, published_at)
    SELECT gen_random_uuid(), 'ModelTrainingStarted', '{}', CASE WHEN n < 4990 THEN now() END
    FROM generate_series(1, 5000) AS n
    """,
)

HEAD = f"""# Plans of the hot queries

Measured on {INTERACTIONS:,} interactions of {USERS:,} users with up to {VIDEOS:,} videos, caches
warm, by `python -m bench.explain > docs/queries.md`, which fills an embedded PostgreSQL and takes
some 20 seconds. Times are of one machine; what to look at is which index answers and how many
buffers are read.
"""

# Half of the batch is there already.
BATCH = text(
    f"""
    SELECT array_agg(CAST(md5('e' || n) AS uuid) ORDER BY CAST(md5('e' || n) AS uuid))
    FROM generate_series({INTERACTIONS - 249}, {INTERACTIONS + 250}) AS n
    """  # noqa: S608 (constants)
)
DAY = text("SELECT date_trunc('minute', max(occurred_at)) - interval '1 day' FROM interactions")
SINCE = text("SELECT max(updated_at) - interval '10 minutes' FROM popularity")
PLACE = text(
    "SELECT CAST(max(transaction) AS text) AS transaction, max(id) - 20 AS id FROM changes"
)

Values = dict[str, Any]


async def report(url: str) -> None:
    """Fill the database and print each query's plan; each has run once before."""
    async with pool(load({"postgres_url": url}), patient=True) as engine:
        await _report(engine)


async def _report(engine: AsyncEngine) -> None:
    await fill(engine, rows=INTERACTIONS, users=USERS, videos=VIDEOS, seconds=30)
    for statement in FILL:
        async with transaction(engine) as connection:
            await connection.execute(text(statement))
    await vacuum(engine)
    print(HEAD)
    async with engine.connect() as connection:
        for title, query, values in await _queries(connection):
            print(await _plan(connection, title, query, values))


async def _queries(connection: AsyncConnection) -> list[tuple[str, TextClause, Values]]:
    keys = await connection.scalar(BATCH)
    day = {"start": await connection.scalar(DAY)}
    place = (await connection.execute(PLACE)).one()._asdict() | {"ahead": []}
    return [
        ("A user's state (on a miss of the cache)", users.STATES, {"user_ids": ["u42"]}),
        (
            "Popularity that moved in the last 10 minutes (each replica, every 10 s)",
            videos.POPULARITY_SINCE,
            {"since": await connection.scalar(SINCE)},
        ),
        ("News to the replicas (each worker, every 500 ms)", changes.READ, place),
        ("Writing 500 events, half of them repeats", interactions.INSERT, _batch(keys)),
        ("What was served in the last day (GET /recs/stats)", impressions.SERVED, day),
        ("Watches that followed (GET /recs/stats)", impressions.FOLLOWED, day),
        ("Events that wait for the bus (the worker, every 500 ms)", outbox.WAITING, {}),
    ]


def _batch(keys: list[UUID]) -> Values:
    nothing = [None] * len(keys)
    return {
        "key": keys,
        "user_id": [f"u{number * 97}" for number in range(len(keys))],
        "video_id": [f"v{number * 31}" for number in range(len(keys))],
        "kind": ["watch"] * len(keys),
        "occurred_at": [utc_now()] * len(keys),
        "weight": [0.5] * len(keys),
        "watched_seconds": nothing,
        "video_seconds": nothing,
        "rating": nothing,
        "recommendation_id": nothing,
    }


async def _plan(
    connection: AsyncConnection, title: str, statement: TextClause, values: Values
) -> str:
    """The plan of the second run; what a run wrote is taken back."""
    lines: list[str] = []
    for _ in range(2):
        explained = text(f"EXPLAIN (ANALYZE, BUFFERS) {statement.text}")
        lines = list((await connection.execute(explained, values)).scalars())
        await connection.rollback()
    query = textwrap.dedent(statement.text).strip()
    return f"## {title}\n\n```sql\n{query}\n```\n\n```\n" + "\n".join(lines) + "\n```\n"


def main() -> None:
    """Start a server of its own, fill it, print."""
    with (
        tempfile.TemporaryDirectory() as home,
        EmbeddedStack(Path(home), ["postgres"]) as stack,
    ):
        url = stack.servers["postgres"].url
        migrate.upgrade(url)
        asyncio.run(report(url))


if __name__ == "__main__":
    main()
