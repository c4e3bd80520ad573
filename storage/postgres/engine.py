"""Connections to PostgreSQL: one pool a process, and no wait without an end on the request path."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    nullcontext,
)
from typing import Any, Final, Protocol

from sqlalchemy import URL, Executable, Row, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from core.access import access
from core.settings import Settings
from core.tracing import calling, span
from storage.breaker import Breaker
from storage.postgres.errors import mapped
from storage.postgres.reaching import asyncpg_url, parsed, reach

SYSTEM: Final = {"db.system.name": "postgresql"}
_BUDGET = "upnext_budget_seconds"
_BREAKER = "upnext_breaker"
_READER = "upnext_reader"


class Reader(Protocol):
    """Who reads in the place of an engine's own server (`storage.postgres.read_replica`)."""

    def connection(
        self, *, autocommit: bool
    ) -> AbstractAsyncContextManager[AsyncConnection | None]:
        """A connection to read with for the block; None when the engine's own server has to.

        Raises:
            Unavailable: the server that reads went away in the block.
        """
        ...


def connect(settings: Settings, *, patient: bool = False, replica: bool = False) -> AsyncEngine:
    """A pool of connections; nothing is opened before the first use.

    Args:
        settings: where the server is, the pool's size and the longest wait.
        patient: for imports, training and migrations, whose statements may take minutes: only
            opening a connection and waiting for a free one end after the configured time.
        replica: to the read replica.

    Raises:
        SetupError: there is no URL, or it cannot be read, or a file of a password or of TLS.
    """
    seconds = settings.postgres_timeout_seconds
    budget = None if patient else seconds
    url, variable = (
        (settings.postgres_read_url, "UPNEXT_POSTGRES_READ_URL")
        if replica
        else (settings.postgres_url, "UPNEXT_POSTGRES_URL")
    )
    parts = parsed(url, variable)
    how = access(settings, "postgres_read" if replica else "postgres")
    engine = create_async_engine(
        asyncpg_url(parts),
        pool_size=settings.postgres_pool_size,
        max_overflow=0,
        hide_parameters=True,  # in errors, which are logged
        pool_timeout=seconds,
        pool_pre_ping=True,  # a restarted server costs a round trip, not a failed request
        pool_use_lifo=True,
        isolation_level="AUTOCOMMIT",  # what the ping goes by: three round trips in a transaction
        execution_options={_BUDGET: budget},
        connect_args={
            "timeout": seconds,
            "command_timeout": budget,
            # Statements here are short: compiling them would cost more than it saves.
            "server_settings": {"application_name": "upnext", "jit": "off"},
        },
    )
    reach(engine, parts, how)
    event.listen(engine.sync_engine, "invalidate", _hang_up)
    return engine.execution_options(isolation_level="READ COMMITTED")  # what all others go by


def _hang_up(connection: Any, _: object, __: BaseException | None) -> None:  # noqa: ANN401 - the driver's
    """Drop a connection that was given up; a polite end would wait two seconds for the server."""
    connection.driver_connection.terminate()


def guarded(engine: AsyncEngine, breaker: Breaker, *, seconds: float | None = None) -> AsyncEngine:
    """The same connections behind a breaker; transactions take at most `seconds`, if given."""
    options: dict[str, Any] = {_BREAKER: breaker}
    if seconds is not None:
        options[_BUDGET] = seconds
    return engine.execution_options(**options)


def reads_by(engine: AsyncEngine, reader: Reader) -> AsyncEngine:
    """The same connections, but for what only reads: `reading`, `reading_together` and `pages`."""
    return engine.execution_options(**{_READER: reader})


def driver_url(url: str | None, variable: str = "UPNEXT_POSTGRES_URL") -> URL:
    """A `postgresql://` URL as SQLAlchemy's asyncpg dialect wants it; without TLS, see `reaching`.

    `?host=/folder` names a unix socket's folder.

    Raises:
        SetupError: there is no URL, or it cannot be read.
    """
    return asyncpg_url(parsed(url, variable))


@asynccontextmanager
async def pool(settings: Settings, *, patient: bool = False) -> AsyncIterator[AsyncEngine]:
    """As `connect`, for the time of the block."""
    engine = connect(settings, patient=patient)
    try:
        yield engine
    finally:
        await engine.dispose()


def budget_of(engine: AsyncEngine) -> float | None:
    """The longest a transaction may take, in seconds; None for a patient one."""
    seconds: float | None = engine.sync_engine.get_execution_options().get(_BUDGET)
    return seconds


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction, committed when the block ends well, within the engine's time.

    Raises:
        Unavailable: the server is away or took too long; nothing was written (or, when the answer
            to the commit was lost, all of it: repeat it, every write here bears repeating).
    """
    with _calling(engine, "transaction"), mapped():
        async with asyncio.timeout(budget_of(engine)), engine.begin() as connection:
            yield connection


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection to read with, each statement by itself: a transaction is two round trips more.

    Raises:
        Unavailable: the server is away or took longer than the engine's time.
    """
    async with _elsewhere(engine, autocommit=True) as other:
        if other is not None:
            async with asyncio.timeout(budget_of(engine)):
                yield other
            return
        with _calling(engine, "reading"), mapped():
            async with asyncio.timeout(budget_of(engine)), engine.connect() as connection:
                yield await connection.execution_options(isolation_level="AUTOCOMMIT")


@asynccontextmanager
async def reading_together(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """As `reading`, in one transaction, so that what is set for it counts for all statements."""
    async with _elsewhere(engine, autocommit=False) as other:
        if other is not None:
            async with asyncio.timeout(budget_of(engine)):
                yield other
            return
        async with transaction(engine) as connection:
            yield connection


def _elsewhere(
    engine: AsyncEngine, *, autocommit: bool
) -> AbstractAsyncContextManager[AsyncConnection | None]:
    reader: Reader | None = engine.sync_engine.get_execution_options().get(_READER)
    return nullcontext() if reader is None else reader.connection(autocommit=autocommit)


def _calling(engine: AsyncEngine, name: str) -> AbstractContextManager[object]:
    """A call of the server, measured; patient ones tell nothing of how quick it is."""
    breaker = _breaker_of(engine)
    if breaker is not None:
        return breaker.calling(name, **SYSTEM)
    if budget_of(engine) is None:
        return span(name, kind="client", **SYSTEM)
    return calling("postgres", name, **SYSTEM)


def _breaker_of(engine: AsyncEngine) -> Breaker | None:
    breaker: Breaker | None = engine.sync_engine.get_execution_options().get(_BREAKER)
    return breaker


async def pages(
    engine: AsyncEngine, statement: Executable, parameters: dict[str, Any], size: int
) -> AsyncIterator[Sequence[Row[Any]]]:
    """Rows of one snapshot in pages of `size` through a server-side cursor. Raises `Unavailable`.

    The engine's time bounds each fetch, not the whole.
    """
    async with _elsewhere(engine, autocommit=False) as other:
        if other is not None:
            async for page in _partitions(other, statement, parameters, size):
                yield page
            return
    breaker = _breaker_of(engine)
    with breaker.passing() if breaker else nullcontext(), mapped():
        async with engine.connect() as connection:
            async for page in _partitions(connection, statement, parameters, size):
                yield page


async def _partitions(
    connection: AsyncConnection, statement: Executable, parameters: dict[str, Any], size: int
) -> AsyncIterator[Sequence[Row[Any]]]:
    result = await connection.stream(statement, parameters, execution_options={"yield_per": size})
    async for page in result.partitions(size):
        yield page
