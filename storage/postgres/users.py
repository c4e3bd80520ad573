"""What is known of users: their state for making lists, and who they are."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.hashing import hash64_many
from core.types import UserId, UserState, VideoId, Watch
from storage.postgres.engine import pages, reading

_PAGE = 5000

# One statement, so that the revision and the history are of one moment. Ties in time are settled,
# so that equal histories give equal states in every process. A row a user: as arrays 10,000 watches
# take a fifth of the time that 10,000 rows do.
STATES = text(
    """
    SELECT user_id, users.revision, video_ids, moments, weights
    FROM users CROSS JOIN LATERAL (
        SELECT array_agg(video_id) AS video_ids, array_agg(occurred_at) AS moments,
            array_agg(weight) AS weights
        FROM (
            SELECT video_id, occurred_at, weight FROM interactions
            WHERE interactions.user_id = users.user_id
            ORDER BY occurred_at DESC, video_id, weight DESC
        ) AS newest_first
    ) AS history
    WHERE user_id = ANY(CAST(:user_ids AS text[]))
    """
)
_STREAM = text("SELECT user_id FROM users ORDER BY user_id")
_AFTER = text(
    "SELECT user_id FROM users WHERE user_id > :after ORDER BY user_id OFFSET :skip LIMIT :most"
)
_COUNT = text("SELECT count(*) FROM users")
# No index: keeping one would cost every event more than this costs a promotion.
_SEEN = text(
    "SELECT user_id FROM users WHERE last_event_at >= :since ORDER BY last_event_at DESC, user_id"
)


class PostgresUsers:
    """`api.ports.StateStore` and the list of users."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def state(self, user_id: UserId, recent: int) -> UserState | None:
        """A user's state with at most `recent` recent watches; None: never heard of.

        Raises:
            Unavailable: PostgreSQL did not answer.
        """
        return (await self.states_of([user_id], recent)).get(user_id)

    async def states_of(self, user_ids: Sequence[UserId], recent: int) -> dict[UserId, UserState]:
        """As `state`, of those of `user_ids` that are known, in one query. Raises `Unavailable`."""
        async with reading(self._engine) as connection:
            rows = await connection.execute(STATES, {"user_ids": list(user_ids)})
        return {UserId(row.user_id): _state(row, recent) for row in rows}

    async def stream(self) -> AsyncIterator[Sequence[UserId]]:
        """All users in the byte order of their ids, in pages. Raises `Unavailable`."""
        async for page in pages(self._engine, _STREAM, {}, _PAGE):
            yield [UserId(row.user_id) for row in page]

    async def after(self, user_id: str, skip: int, most: int) -> list[UserId]:
        """See `api.user_pages.UserDirectory.after`; the time it takes grows with `skip`."""
        asked = {"after": user_id, "skip": skip, "most": most}
        async with reading(self._engine) as connection:
            rows = await connection.execute(_AFTER, asked)
            return [UserId(found) for found in rows.scalars()]

    async def count(self) -> int:
        """How many users there are. Raises `Unavailable`."""
        async with reading(self._engine) as connection:
            return int(await connection.scalar(_COUNT) or 0)

    async def seen_since(self, since: datetime) -> list[UserId]:
        """Users whose newest event is not older, the latest first. Raises `Unavailable`."""
        async with reading(self._engine) as connection:
            rows = await connection.execute(_SEEN, {"since": since})
            return [UserId(user_id) for user_id in rows.scalars()]


def _state(row: Row[Any], recent: int) -> UserState:
    """The state of a user with these watches, newest first; None in their place: no history."""
    video_ids: list[str] = row.video_ids or []
    return UserState(
        user_id=UserId(row.user_id),
        revision=row.revision,
        recent=tuple(
            _newest(zip(video_ids, row.moments or [], row.weights or [], strict=True), recent)
        ),
        watched=np.sort(hash64_many(dict.fromkeys(video_ids))),
    )


def _newest(rows: Iterable[tuple[str, datetime, float]], most: int) -> Iterable[Watch]:
    """The first `most` videos, each once."""
    seen: set[str] = set()
    for video_id, occurred_at, weight in rows:
        if len(seen) == most:
            return
        if video_id not in seen:
            seen.add(video_id)
            yield Watch(VideoId(video_id), occurred_at, weight)
