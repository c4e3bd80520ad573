"""A sign of life of PostgreSQL."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.postgres.engine import reading

_ONE = text("SELECT 1")


async def ping(engine: AsyncEngine) -> None:
    """One round trip. Raises `Unavailable`."""
    async with reading(engine) as connection:
        await connection.execute(_ONE)
