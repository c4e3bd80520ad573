"""Reading changes as replicas do: a running transaction of anyone on the server holds them up."""

import asyncio

from core.types import Change, ChangeCursor
from storage.postgres.changes import PostgresChanges


async def read_changes(
    changes: PostgresChanges, after: ChangeCursor, count: int, *, seconds: float = 20
) -> tuple[list[Change], ChangeCursor]:
    """The changes after a cursor, once there are `count` of them or more; fails when never."""
    found: list[Change] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            page, after = await changes.read(after)
            found += page
            await asyncio.sleep(0 if page else 0.02)
    return found, after
