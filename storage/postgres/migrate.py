"""Migrations, up and down. Blocking: from a coroutine call them in a thread.

Each run is one transaction that begins with a lock, so that processes that start together migrate
one after the other, and one that is killed leaves the database as it was.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from core.errors import SetupError
from storage.postgres.engine import driver_url
from storage.postgres.errors import mapped

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('upnext migrate'))")
_CONNECT_SECONDS = 5.0

Result = TypeVar("Result")


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database up to `revision`. Raises `Unavailable`, `SetupError`."""
    _run(url, lambda connection: command.upgrade(_config(connection), revision))


def downgrade(url: str, revision: str) -> None:
    """Take the database down to `revision` (`base`: no tables). Raises as `upgrade`."""
    _run(url, lambda connection: command.downgrade(_config(connection), revision))


def current(url: str) -> str | None:
    """The database's revision, None when it was never migrated. Raises `Unavailable`."""
    return _run(url, lambda c: MigrationContext.configure(c).get_current_revision())


def head() -> str:
    """The newest revision this program knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise SetupError("The installed package lacks its migrations: install it again.")
    return revision


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _run(url: str, work: Callable[[Connection], Result]) -> Result:
    try:
        return asyncio.run(_in_transaction(url, work))
    except CommandError as error:
        raise SetupError(f"The database cannot be migrated: {error}.") from error


async def _in_transaction(url: str, work: Callable[[Connection], Result]) -> Result:
    engine = create_async_engine(
        driver_url(url), poolclass=NullPool, connect_args={"timeout": _CONNECT_SECONDS}
    )
    try:
        with mapped():
            async with engine.begin() as connection:
                await connection.execute(_LOCK)
                return await connection.run_sync(work)
    finally:
        await engine.dispose()
