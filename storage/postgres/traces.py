"""The trace that work was asked for in, kept until somebody does it.

Jobs, training runs and events of the outbox wait in their tables; by their ids, which no two of
them share, it is found here. Without traces the table is neither written nor read.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.tracing import NO_TRACE, Trace, extract, inject, is_on
from storage.postgres.engine import reading, transaction

# A rollout may bring the program before its table: work is done without a trace until then.
_THERE = text("SELECT to_regclass('traces') IS NOT NULL")
_KEEP = text(
    """
    INSERT INTO traces (id, trace) VALUES (:id, CAST(:trace AS jsonb))
    ON CONFLICT (id) DO UPDATE SET trace = excluded.trace, created_at = now()
    """
)
_OF = text("SELECT id, trace FROM traces WHERE id = ANY(CAST(:ids AS text[]))")
_PRUNE = text("DELETE FROM traces WHERE created_at < :before")


async def keep_trace(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Note in the caller's transaction that these were asked for in the trace under way, if any."""
    if ids and (trace := inject()) and await connection.scalar(_THERE):
        told = msgspec.json.encode(trace).decode()
        await connection.execute(_KEEP, [{"id": id_, "trace": told} for id_ in ids])


async def traces_of(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, Trace]:
    """The traces of those that have one, by id."""
    if not ids or not is_on() or not await connection.scalar(_THERE):
        return {}
    found = await connection.execute(_OF, {"ids": list(ids)})
    return {row.id: extract(row.trace) for row in found}


async def trace_of(engine: AsyncEngine, id_: str) -> Trace:
    """The trace that one was asked for in. Raises `Unavailable`."""
    if not is_on():
        return NO_TRACE
    async with reading(engine) as connection:
        return (await traces_of(connection, [id_])).get(id_, NO_TRACE)


async def prune_traces(engine: AsyncEngine, before: datetime) -> int:
    """Forget those kept before `before`; how many. Raises `Unavailable`."""
    async with transaction(engine) as connection:
        if not await connection.scalar(_THERE):
            return 0
        return (await connection.execute(_PRUNE, {"before": before})).rowcount
