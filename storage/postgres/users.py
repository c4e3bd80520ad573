"""What is known of users: their state for making lists, and who they are."""

from collections.abc import AsyncIterator, Sequence

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.hashing import hash64_many
from core.types import UserId, UserState, VideoId, Watch
from storage.postgres.engine import pages, transaction

_PAGE = 5000

# One statement, so that the revision and the history are of one moment. Ties in time are settled,
# so that equal histories give equal states in every process.
STATE = text(
    """
    SELECT users.revision, video_id, occurred_at, weight
    FROM users LEFT JOIN interactions USING (user_id)
    WHERE user_id = :user_id
    ORDER BY occurred_at DESC, video_id, weight DESC
    """
)
_STREAM = text("SELECT user_id FROM users ORDER BY user_id")


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
        if not rows:
            return None
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

    async def stream(self) -> AsyncIterator[Sequence[UserId]]:
        """All users in the byte order of their ids, in pages. Raises `Unavailable`."""
        async for page in pages(self._engine, _STREAM, {}, _PAGE):
            yield [UserId(row.user_id) for row in page]
