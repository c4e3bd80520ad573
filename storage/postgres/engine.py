"""Connections to PostgreSQL: one pool a process, and no wait without an end on the request path."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

from sqlalchemy import URL, Executable, Row, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from core.errors import SetupError
from core.settings import Settings
from storage.breaker import Breaker
from storage.postgres.errors import mapped

_BUDGET = "upnext_budget_seconds"
_BREAKER = "upnext_breaker"


def connect(settings: Settings, *, patient: bool = False) -> AsyncEngine:
    """A pool of connections; nothing is opened before the first use.

    Args:
        settings: where the server is, the pool's size and the longest wait.
        patient: for imports, training and migrations, whose statements may take minutes: only
            opening a connection and waiting for a free one end after the configured time.

    Raises:
        SetupError: there is no URL, or it cannot be read.
    """
    seconds = settings.postgres_timeout_seconds
    budget = None if patient else seconds
    engine = create_async_engine(
        driver_url(settings.postgres_url),
        pool_size=settings.postgres_pool_size,
        max_overflow=0,
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


def driver_url(url: str | None) -> URL:
    """A `postgresql://` URL as SQLAlchemy's asyncpg dialect wants it.

    `?host=/folder` names a unix socket's folder; libpq's `sslmode` is understood.

    Raises:
        SetupError: there is no URL, or it cannot be read.
    """
    if url is None:
        raise SetupError("UPNEXT_POSTGRES_URL is not set: set it, or start with `upnext up`.")
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise SetupError(
            "UPNEXT_POSTGRES_URL cannot be read: write postgresql://user:password@host/database."
        ) from error
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise SetupError("UPNEXT_POSTGRES_URL must begin with postgresql://.")
    query = dict(parsed.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return parsed.set(drivername="postgresql+asyncpg", query=query)


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
    with _passing(engine), mapped():
        async with asyncio.timeout(budget_of(engine)), engine.begin() as connection:
            yield connection


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection to read with, each statement by itself: a transaction is two round trips more.

    Raises:
        Unavailable: the server is away or took longer than the engine's time.
    """
    with _passing(engine), mapped():
        async with asyncio.timeout(budget_of(engine)), engine.connect() as connection:
            yield await connection.execution_options(isolation_level="AUTOCOMMIT")


def _passing(engine: AsyncEngine) -> AbstractContextManager[None]:
    breaker: Breaker | None = engine.sync_engine.get_execution_options().get(_BREAKER)
    return breaker.calling() if breaker else nullcontext()


async def pages(
    engine: AsyncEngine, statement: Executable, parameters: dict[str, Any], size: int
) -> AsyncIterator[Sequence[Row[Any]]]:
    """Rows of one snapshot in pages of `size` through a server-side cursor. Raises `Unavailable`.

    The engine's time bounds each fetch, not the whole.
    """
    with _passing(engine), mapped():
        async with engine.connect() as connection:
            result = await connection.stream(
                statement, parameters, execution_options={"yield_per": size}
            )
            async for page in result.partitions(size):
                yield page
