"""Being the one publisher, from code that blocks."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from core.clock import utc_now
from core.settings import Settings
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from storage.postgres.publishing import publishing


@contextmanager
def publisher(settings: Settings, model_id: str) -> Iterator[list[str]]:
    """Be the one process that publishes, for this run; a block that ends well has published.

    Yields:
        The versions of which collections may be left that nobody will ever search.

    Raises:
        Conflict: another process publishes, or the run was given up.
        Unavailable: PostgreSQL did not answer.
    """
    with alone(settings) as (runner, registry):
        yield [model.version for model in runner.run(registry.leftovers(model_id))]
        # Before the lock is let go: a run that has not published is what others clean up.
        runner.run(registry.mark_published(model_id))


@contextmanager
def alone(settings: Settings) -> Iterator[tuple[asyncio.Runner, PostgresModels]]:
    """Be the one process that writes to the index.

    What is done in the block runs in the caller's thread, so that a signal which stops the
    process is met there and what was half made is dropped before another may publish.

    Yields:
        The registry, and what its calls are to be run with.

    Raises:
        Conflict: another process is.
        Unavailable: PostgreSQL did not answer.
    """
    with asyncio.Runner() as runner:
        held = _held(settings)
        registry = runner.run(held.__aenter__())
        try:
            yield runner, registry
        finally:
            runner.run(held.__aexit__(None, None, None))


@asynccontextmanager
async def _held(settings: Settings) -> AsyncIterator[PostgresModels]:
    async with pool(settings, patient=True) as engine, publishing(engine):
        yield PostgresModels(engine, utc_now)
