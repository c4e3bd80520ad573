"""The history's truth: every watch and rating once, with the counters and users it moves.

Writers lock in one order everywhere (keys, then users, then counters, each sorted), so that two of
them with overlapping batches wait for each other and never deadlock.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.types import AddCounts, Interaction, UserId
from storage.counters import tally
from storage.postgres.engine import reading, transaction
from storage.postgres.erasure import erased_among

_COLUMNS = """
    event_key AS key, user_id, video_id, kind, occurred_at, weight, watched_seconds, video_seconds,
    rating, recommendation_id
"""

# What it says comes back in one array: a row each would take the driver as long as sending them.
INSERT = text(
    """
    WITH new AS (
        INSERT INTO interactions (
            event_key, user_id, video_id, kind, occurred_at, weight, watched_seconds,
            video_seconds, rating, recommendation_id
        )
        SELECT * FROM unnest(
            CAST(:key AS uuid[]), CAST(:user_id AS text[]), CAST(:video_id AS text[]),
            CAST(:kind AS text[]), CAST(:occurred_at AS timestamptz[]),
            CAST(:weight AS double precision[]), CAST(:watched_seconds AS double precision[]),
            CAST(:video_seconds AS double precision[]), CAST(:rating AS double precision[]),
            CAST(:recommendation_id AS text[])
        )
        ON CONFLICT (event_key) DO NOTHING
        RETURNING event_key
    )
    SELECT coalesce(array_agg(event_key), '{}') FROM new
    """
)
# Revisions follow the clock (microseconds, read once): Redis may remember those of a database that
# has since been restored or filled anew, and the new ones must be above them.
_USERS = text(
    """
    WITH moved AS (
        INSERT INTO users (user_id, revision, last_event_at)
        SELECT user_id, (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1e6 AS bigint)),
            last_event_at
        FROM unnest(
            CAST(:user_ids AS text[]), CAST(:moments AS timestamptz[])
        ) AS batch (user_id, last_event_at)
        ON CONFLICT (user_id) DO UPDATE SET
            revision = greatest(users.revision + 1, excluded.revision),
            last_event_at = greatest(users.last_event_at, excluded.last_event_at)
        RETURNING user_id, revision
    )
    SELECT array_agg(user_id), array_agg(revision) FROM moved
    """
)
_REVISIONS = text(
    "SELECT user_id, revision FROM users WHERE user_id = ANY(CAST(:user_ids AS text[]))"
)
# The shard follows the connection: writers at the same time mostly have different ones.
_COUNTERS = text(
    """
    INSERT INTO popularity (video_id, shard, watches, log2_slow, log2_fast)
    SELECT video_id, pg_backend_pid() % 4, watches, slow, fast FROM unnest(
        CAST(:video_ids AS text[]), CAST(:watches AS bigint[]),
        CAST(:slow AS double precision[]), CAST(:fast AS double precision[])
    ) AS batch (video_id, watches, slow, fast)
    ON CONFLICT (video_id, shard) DO UPDATE SET
        watches = popularity.watches + excluded.watches,
        log2_slow = log2_add(popularity.log2_slow, excluded.log2_slow),
        log2_fast = log2_add(popularity.log2_fast, excluded.log2_fast),
        updated_at = now()
    """
)
_FIND = text(f"SELECT {_COLUMNS} FROM interactions WHERE event_key = :key")  # noqa: S608 (constants)


class PostgresInteractions:
    """`ingest.ports.InteractionStore`, `api.ports.InteractionStore`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add_many(self, interactions: Sequence[Interaction]) -> AddCounts:
        """Write interactions, counters and users in one transaction, each key at most once ever.

        What is of users who were erased is left out, and counted.

        Of equal keys in the batch the first counts. Batches of 500 to 10,000 are worth it.

        Raises:
            Unavailable: nothing was written.
            InvalidInput: an id holds a character that PostgreSQL cannot keep.
        """
        if not interactions:
            return AddCounts(0, 0, {})
        async with transaction(self._engine) as connection:
            erased = await erased_among(connection, {row.user_id for row in interactions})
            kept = [row for row in interactions if row.user_id not in erased]
            # The last of equal keys stays, so from the end. By `int`: comparing UUIDs is slow.
            batch = {row.key.int: row for row in reversed(kept)}
            accepted = await _insert(connection, [batch[key] for key in sorted(batch)])
            revisions = await _move_users(connection, accepted)
            await _move_counters(connection, accepted)
            others = {row.user_id for row in kept} - revisions.keys()
            if others:
                rows = await connection.execute(_REVISIONS, {"user_ids": sorted(others)})
                revisions |= {UserId(row.user_id): row.revision for row in rows}
        duplicates = len(kept) - len(accepted)
        return AddCounts(len(accepted), duplicates, revisions, len(interactions) - len(kept))

    async def find(self, key: UUID) -> Interaction | None:
        """The interaction of that key. Raises `Unavailable`."""
        async with reading(self._engine) as connection:
            row = (await connection.execute(_FIND, {"key": key})).one_or_none()
            return None if row is None else _interaction(row)


async def _insert(
    connection: AsyncConnection, rows: Sequence[Interaction]
) -> Sequence[Interaction]:
    """Insert rows sorted by key; those that were not there before."""
    columns = {name: [getattr(row, name) for row in rows] for name in Interaction.__struct_fields__}
    keys = await connection.scalar(INSERT, columns)
    if len(keys) == len(rows):
        return rows
    new = {key.int for key in keys}
    return [row for row in rows if row.key.int in new]


async def _move_users(
    connection: AsyncConnection, accepted: Sequence[Interaction]
) -> dict[UserId, int]:
    latest = dict[UserId, datetime]()
    for row in accepted:
        latest[row.user_id] = max(row.occurred_at, latest.get(row.user_id, row.occurred_at))
    if not latest:
        return {}
    user_ids = sorted(latest)
    moments = [latest[user_id] for user_id in user_ids]
    moved = await connection.execute(_USERS, {"user_ids": user_ids, "moments": moments})
    return dict(zip(*moved.one(), strict=True))


async def _move_counters(connection: AsyncConnection, accepted: Sequence[Interaction]) -> None:
    if not accepted:
        return
    added = tally(accepted)
    columns = {
        "video_ids": list(added.video_ids),
        "watches": added.watches.tolist(),
        "slow": added.slow.tolist(),
        "fast": added.fast.tolist(),
    }
    await connection.execute(_COUNTERS, columns)


def _interaction(row: Row[Any]) -> Interaction:
    return Interaction(**row._asdict())
