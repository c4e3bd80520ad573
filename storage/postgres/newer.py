"""Whether there is anything that a model has not learned from."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.postgres.engine import reading

_NEWER = text(
    """
    SELECT EXISTS (
        SELECT FROM interactions
        WHERE CAST(:since AS timestamptz) IS NULL OR occurred_at > CAST(:since AS timestamptz)
    )
    """
)


async def anything_since(engine: AsyncEngine, since: datetime | None) -> bool:
    """Whether there are interactions after that time, or any at all. Raises `Unavailable`."""
    async with reading(engine) as connection:
        return bool(await connection.scalar(_NEWER, {"since": since}))
