"""What is known of users: their state for making lists, and who they are."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.hashing import hash64_many
from core.types import UserId, UserState, VideoId, Watch
from storage.postgres.engine import pages, transaction

_PAGE = 5000

# One statement, so that the revision and the history are of one moment. Ties in time are settled,
# so that equal histories give equal states in every process.
STATE = text(
    """
    SELECT user_id, users.revision, video_id, occurred_at, weight
    FROM users LEFT JOIN interactions USING (user_id)
    WHERE user_id = :user_id
    ORDER BY occurred_at DESC, video_id, weight DESC
    """
)
STATES = text(
    """
    SELECT user_id, users.revision, video_id, occurred_at, weight
    FROM users LEFT JOIN interactions USING (user_id)
    WHERE user_id = ANY(CAST(:user_ids AS text[]))
    ORDER BY user_id, occurred_at DESC, video_id, weight DESC
    """
)
_STREAM = text("SELECT user_id FROM users ORDER BY user_id")
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
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(STATE, {"user_id": user_id})).all()
        return _state(user_id, rows, recent) if rows else None

    async def states_of(self, user_ids: Sequence[UserId], recent: int) -> dict[UserId, UserState]:
        """As `state`, of those of `user_ids` that are known, in one query. Raises `Unavailable`."""
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(STATES, {"user_ids": list(user_ids)})).all()
        by_user = groupby(rows, key=lambda row: UserId(row.user_id))
        return {user_id: _state(user_id, list(own), recent) for user_id, own in by_user}

    async def stream(self) -> AsyncIterator[Sequence[UserId]]:
        """All users in the byte order of their ids, in pages. Raises `Unavailable`."""
        async for page in pages(self._engine, _STREAM, {}, _PAGE):
            yield [UserId(row.user_id) for row in page]

    async def count(self) -> int:
        """How many users there are. Raises `Unavailable`."""
        async with transaction(self._engine) as connection:
            return int(await connection.scalar(_COUNT) or 0)

    async def seen_since(self, since: datetime) -> list[UserId]:
        """Users whose newest event is not older, the latest first. Raises `Unavailable`."""
        async with transaction(self._engine) as connection:
            rows = await connection.execute(_SEEN, {"since": since})
            return [UserId(user_id) for user_id in rows.scalars()]


def _state(user_id: UserId, rows: Sequence[Row[Any]], recent: int) -> UserState:
    """The state of a user with these rows, newest first; one without a video: no history."""
    newest: dict[str, Watch] = {}
    for row in rows:
        if row.video_id is not None and row.video_id not in newest:
            newest[row.video_id] = Watch(VideoId(row.video_id), row.occurred_at, row.weight)
    return UserState(
        user_id=user_id,
        revision=rows[0].revision,
        recent=tuple(newest.values())[:recent],
        watched=np.sort(hash64_many(newest)),
    )
