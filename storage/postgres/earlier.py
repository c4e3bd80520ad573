"""Whether users had watched given videos before a moment."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.types import UserId, VideoId
from storage.postgres.engine import reading

_WATCHED = text(
    """
    SELECT EXISTS (
        SELECT FROM interactions AS one
        WHERE one.user_id = asked.user_id COLLATE "C"
        AND one.video_id = asked.video_id COLLATE "C" AND one.occurred_at < :moment
    )
    FROM unnest(CAST(:users AS text[]), CAST(:videos AS text[]))
        WITH ORDINALITY AS asked (user_id, video_id, n)
    ORDER BY n
    """
)


async def watched_before(
    engine: AsyncEngine, users: Sequence[UserId], videos: Sequence[VideoId], moment: datetime
) -> NDArray[np.bool_]:
    """Of each user and the video beside, bool (n,): watched or rated before `moment`.

    Raises:
        Unavailable: PostgreSQL did not answer.
    """
    asked = {"users": list(users), "videos": list(videos), "moment": moment}
    async with reading(engine) as connection:
        found = (await connection.execute(_WATCHED, asked)).scalars().all()
    return np.array(found, dtype=np.bool_)
