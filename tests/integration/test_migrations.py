"""Migrations: up, down and up again, beside each other, and to exactly the tables of the code."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import SetupError, Unavailable
from core.settings import load
from core.types import RankingConfig
from storage.postgres import migrate
from storage.postgres.configs import PostgresConfigs
from storage.postgres.engine import connect
from storage.postgres.tables import Xid8, metadata

pytestmark = pytest.mark.integration

LEFT = text(
    """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    """
)


async def _names(url: str) -> set[str]:
    engine = connect(load({"postgres_url": url}))
    async with engine.connect() as connection:
        names = set((await connection.execute(LEFT)).scalars())
    await engine.dispose()
    return names


def _difference(connection: Connection) -> list[Any]:
    # SQLAlchemy does not know this type by itself.
    connection.dialect.ischema_names["xid8"] = Xid8  # type: ignore[attr-defined]
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def test_the_migrated_tables_are_those_of_the_code(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert await connection.run_sync(_difference) == []


async def test_ids_are_compared_byte_by_byte(engine: AsyncEngine) -> None:
    """Collations are not part of the comparison above."""
    ids = {
        (column.table.name, column.name)
        for table in metadata.tables.values()
        for column in table.columns
        if getattr(column.type, "collation", None) == "C"
    }
    query = text(
        "SELECT table_name, column_name FROM information_schema.columns WHERE collation_name = 'C'"
        " AND table_schema = 'public'"
    )
    async with engine.connect() as connection:
        found = {(row.table_name, row.column_name) for row in await connection.execute(query)}
    assert found == ids


def test_down_leaves_nothing_and_up_works_again(database_url: str) -> None:
    assert migrate.current(database_url) == migrate.head()
    migrate.downgrade(database_url, "base")
    assert migrate.current(database_url) is None
    assert asyncio.run(_names(database_url)) == {"alembic_version", "alembic_version_pkc"}
    migrate.upgrade(database_url)
    assert migrate.current(database_url) == migrate.head()


def test_processes_that_migrate_at_once_do_it_one_after_the_other(database_url: str) -> None:
    migrate.downgrade(database_url, "base")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate.upgrade, [database_url] * 4))
    assert migrate.current(database_url) == migrate.head()


def test_an_unknown_revision_is_said_in_one_sentence(database_url: str) -> None:
    with pytest.raises(SetupError, match="cannot be migrated"):
        migrate.upgrade(database_url, "9999")


async def test_what_a_later_release_has_migrated_stays(
    engine: AsyncEngine, database_url: str
) -> None:
    """A release that was taken back starts on it."""
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await asyncio.to_thread(migrate.upgrade, database_url)
    assert await asyncio.to_thread(migrate.current, database_url) == "9999"


async def test_the_first_configuration_is_the_default_one(engine: AsyncEngine) -> None:
    assert await PostgresConfigs(engine).current() == RankingConfig()


def test_a_database_that_is_not_there_is_unavailable(postgres_url: str) -> None:
    with pytest.raises(Unavailable, match="does not have that database"):
        migrate.current(postgres_url.replace("/upnext?", "/nowhere?"))
