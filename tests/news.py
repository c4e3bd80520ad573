"""Reading changes as replicas do: anyone's long transaction on the server mixes their order."""

import asyncio

from core.types import Change, ChangeCursor
from storage.postgres.changes import PostgresChanges


async def read_changes(
    changes: PostgresChanges, after: ChangeCursor, count: int, *, seconds: float = 20
) -> tuple[list[Change], ChangeCursor]:
    """The changes after a cursor, once there are `count` or more and none is ahead of its place.

    Fails when that never is.
    """
    found: list[Change] = []
    async with asyncio.timeout(seconds):
        while len(found) < count or after.ahead:
            page, after = await changes.read(after)
            found += page
            await asyncio.sleep(0 if page else 0.02)
    return found, after
