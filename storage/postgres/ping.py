"""A sign of life of PostgreSQL."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.postgres.engine import transaction

_ONE = text("SELECT 1")


async def ping(engine: AsyncEngine) -> None:
    """One round trip. Raises `Unavailable`."""
    async with transaction(engine) as connection:
        await connection.execute(_ONE)
