"""Locks between processes on whatever machine: one connection's own, held for a block."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from storage.postgres.errors import mapped

# One whose machine died without a word is found out in 25 s.
_KEEPALIVE = (
    text("SET tcp_keepalives_idle = 10"),
    text("SET tcp_keepalives_interval = 5"),
    text("SET tcp_keepalives_count = 3"),
)


@asynccontextmanager
async def lock_connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection to take advisory locks on; the end of the block lets them go.

    The server lets them go too when this process ends, however it ends. No transaction is open
    between statements.

    Raises:
        Unavailable: the server did not answer.
    """
    with mapped():
        connection = await engine.connect()
    try:
        with mapped():
            connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
            for setting in _KEEPALIVE:
                await connection.execute(setting)
        yield connection
    finally:
        # Not back to the pool, where it would keep its locks; this waits for the server's end of
        # it.
        await connection.invalidate()
        await connection.close()
