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
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from core.access import PLAIN, access
from core.errors import SetupError
from core.settings import Settings
from storage.postgres.errors import mapped
from storage.postgres.reaching import asyncpg_url, parsed, reach

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('upnext migrate'))")
_CONNECT_SECONDS = 5.0

Result = TypeVar("Result")
Where = Settings | str
"""The settings that say where the database is and how it is reached, or nothing but its URL."""


def upgrade(where: Where, revision: str = "head") -> None:
    """Bring the database up to `revision`; without one, leave alone what a later release made.

    Raises:
        SetupError: there is no such revision, or it cannot be gone to from there.
        Unavailable: the database does not answer.
    """
    _run(where, lambda connection: _up(connection, revision))


def downgrade(where: Where, revision: str) -> None:
    """Take the database down to `revision` (`base`: no tables). Raises as `upgrade`."""
    _run(where, lambda connection: command.downgrade(_config(connection), revision))


def current(where: Where) -> str | None:
    """The database's revision, None when it was never migrated. Raises `Unavailable`."""
    return _run(where, lambda c: MigrationContext.configure(c).get_current_revision())


def head() -> str:
    """The newest revision this program knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise SetupError("The installed package lacks its migrations: install it again.")
    return revision


def revisions() -> list[str]:
    """All revisions that this program has the migrations to, in their order."""
    walk = ScriptDirectory.from_config(_config()).walk_revisions()
    return [each.revision for each in walk][::-1]


def serves(revision: str | None) -> bool:
    """Whether this program can run on a database of this revision.

    On its newest, and on one that it does not know: that is of a later release, and schemas serve
    the release before theirs (docs/upgrading.md).
    """
    return revision == head() or (revision is not None and revision not in revisions())


def _up(connection: Connection, revision: str) -> None:
    found = MigrationContext.configure(connection).get_current_revision()
    if revision != "head" or not serves(found):
        command.upgrade(_config(connection), revision)


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _run(where: Where, work: Callable[[Connection], Result]) -> Result:
    try:
        return asyncio.run(_in_transaction(where, work))
    except CommandError as error:
        raise SetupError(f"The database cannot be migrated: {error}.") from error


async def _in_transaction(where: Where, work: Callable[[Connection], Result]) -> Result:
    engine = _engine(where)
    try:
        with mapped():
            async with engine.begin() as connection:
                await connection.execute(_LOCK)
                return await connection.run_sync(work)
    finally:
        await engine.dispose()


def _engine(where: Where) -> AsyncEngine:
    if isinstance(where, str):
        parts, how = parsed(where), PLAIN
    else:
        parts, how = parsed(where.postgres_url), access(where, "postgres")
    engine = create_async_engine(
        asyncpg_url(parts), poolclass=NullPool, connect_args={"timeout": _CONNECT_SECONDS}
    )
    reach(engine, parts, how)
    return engine
