"""Being the one publisher, from code that blocks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.settings import Settings
from core.types import Model
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from storage.postgres.publishing import adding, publishing

Lock = Callable[[AsyncEngine], AbstractAsyncContextManager[None]]


@contextmanager
def publisher(settings: Settings, model_id: str, attempt: UUID) -> Iterator[list[str]]:
    """Be the one process that publishes, for this run; a block that ends well has published.

    An attempt at the run that was given up never gets there: another may have published by now.

    Waits for its turn, not for ever (`storage.postgres.publishing.TURN_SECONDS`).

    What is done in the block runs in the caller's thread, so that a signal which stops the
    process is met there and what was half made is dropped before another may publish.

    Yields:
        The versions of which collections may be left that nobody will ever search.

    Raises:
        Conflict: another process still publishes, or the run was given up.
        Unavailable: PostgreSQL did not answer.
    """
    with _held(settings, publishing) as (runner, registry):
        runner.run(registry.update(model_id, attempt))
        yield [model.version for model in runner.run(registry.leftovers(model_id))]
        # Before the lock is let go: a run that has not published is what others clean up.
        runner.run(registry.mark_published(model_id, attempt))


@contextmanager
def adder(settings: Settings) -> Iterator[list[Model]]:
    """Be the one process that adds to versions which are published already, for a few seconds.

    Yields:
        The versions that replicas keep open.

    Raises:
        Conflict: another process publishes or adds.
        Unavailable: PostgreSQL did not answer.
    """
    with _held(settings, adding) as (runner, registry):
        yield runner.run(registry.openable())


@contextmanager
def rebuilder(settings: Settings) -> Iterator[list[Model]]:
    """Be the one process that publishes, to make good what is published; waits for its turn.

    Yields:
        The versions that replicas keep open.

    Raises:
        Conflict: another process still publishes.
        Unavailable: PostgreSQL did not answer.
    """
    with _held(settings, publishing) as (runner, registry):
        yield runner.run(registry.openable())


@contextmanager
def _held(settings: Settings, lock: Lock) -> Iterator[tuple[asyncio.Runner, PostgresModels]]:
    """The registry, and what its calls are to be run with, while the lock is held."""
    with asyncio.Runner() as runner:
        holding = _locked(settings, lock)
        registry = runner.run(holding.__aenter__())
        try:
            yield runner, registry
        finally:
            runner.run(holding.__aexit__(None, None, None))


@asynccontextmanager
async def _locked(settings: Settings, lock: Lock) -> AsyncIterator[PostgresModels]:
    async with pool(settings, patient=True) as engine, lock(engine):
        yield PostgresModels(engine, utc_now)
