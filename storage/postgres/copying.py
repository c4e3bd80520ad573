"""The tables as files: copied out as they were at one moment, copied in within a transaction.

A file is what PostgreSQL's COPY gives as text, compressed with Zstandard: newer servers read what
older ones wrote.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import pyarrow as pa
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from storage.postgres.engine import transaction
from storage.postgres.tables import metadata

LEFT_OUT: Final = frozenset({"replicas", "changes", "owed_drops", "traces"})
"""Tables that say who runs, what is news and who waits: of no meaning to a restored database.

`changes` are numbered by the server's own transactions, and whoever starts reads everything.
"""
ONLY: Final = {"outbox": "published_at IS NULL"}

_ONE_MOMENT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
# How values are written is the server's to choose, unless it is told.
_TOLD = text(
    "SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true),"
    " set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true)"
)

Tell = Callable[[str, int], None]
"""Hears of a table that was copied, and of how many rows."""


class Copied(msgspec.Struct, frozen=True):
    """What a table's file has: its columns in their order, and how many rows."""

    columns: tuple[str, ...]
    rows: int


def file_of(folder: Path, table: str) -> Path:
    """Where in a folder a table's rows are."""
    return folder / f"{table}.copy.zst"


async def copy_out(engine: AsyncEngine, folder: Path, tell: Tell) -> dict[str, Copied]:
    """Write every table but `LEFT_OUT` into a folder, all as of one moment; writers go on.

    Args:
        engine: a patient one: others end it early.
        folder: an empty one.
        tell: hears how far it is.

    Raises:
        Unavailable: the server is away; what was written is not all.
    """
    copied: dict[str, Copied] = {}
    async with transaction(engine) as connection:
        await connection.execute(_ONE_MOMENT)
        await connection.execute(_TOLD)
        driver = await _driver(connection)
        for name, table in metadata.tables.items():
            if name in LEFT_OUT:
                continue
            columns = tuple(str(column.name) for column in table.columns)
            quoted = ", ".join(f'"{column}"' for column in columns)
            query = f'SELECT {quoted} FROM "{name}" WHERE {ONLY.get(name, "true")}'  # noqa: S608 - names of ours
            with pa.output_stream(str(file_of(folder, name)), compression="zstd") as out:
                status = await driver.copy_from_query(query, output=out)
            copied[name] = Copied(columns, int(status.split()[-1]))
            tell(name, copied[name].rows)
    return copied


async def copy_in(
    connection: AsyncConnection, folder: Path, tables: Mapping[str, Copied], tell: Tell
) -> None:
    """Replace the rows of these tables by those of their files, in the caller's transaction.

    What numbers itself goes on after the highest number.
    """
    names = ", ".join(f'"{name}"' for name in tables)
    await connection.execute(text(f"TRUNCATE {names}"))
    driver = await _driver(connection)
    for name, copied in tables.items():
        with pa.input_stream(str(file_of(folder, name)), compression="zstd") as source:
            await driver.copy_to_table(name, source=source, columns=list(copied.columns))
        await _number_on(connection, name)
        tell(name, copied.rows)


async def _number_on(connection: AsyncConnection, name: str) -> None:
    for column in metadata.tables[name].columns if name in metadata.tables else ():
        if column.identity is not None:
            await connection.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{name}', '{column.name}'),"  # noqa: S608 - names of ours
                    f' (SELECT COALESCE(max("{column.name}"), 0) + 1 FROM "{name}"), false)'
                )
            )


async def _driver(connection: AsyncConnection) -> Any:  # noqa: ANN401 - asyncpg's connection
    return cast("Any", (await connection.get_raw_connection()).driver_connection)
