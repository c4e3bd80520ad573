"""What COPY does with the same rows: the ceiling that an insert with rules is held against."""

import time
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.types import Interaction

COLUMNS = ("event_key", *Interaction.__struct_fields__[1:])
BARE = "interactions_bare"


async def copied(engine: AsyncEngine, table: str, rows: Sequence[Interaction], batch: int) -> float:
    """Rows a second that COPY brings into `table`, committed by the batch."""
    records = [tuple(getattr(row, name) for name in Interaction.__struct_fields__) for row in rows]
    async with engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None  # noqa: S101 - for the type checker
        began = time.perf_counter()
        for start in range(0, len(records), batch):
            await raw.copy_records_to_table(
                table, records=records[start : start + batch], columns=COLUMNS
            )
        return len(records) / (time.perf_counter() - began)


async def make_bare(engine: AsyncEngine) -> None:
    """An empty table of the same columns without indexes, in place of the one there was."""
    async with engine.begin() as connection:
        await connection.execute(text(f"DROP TABLE IF EXISTS {BARE}"))
        await connection.execute(text(f"CREATE TABLE {BARE} (LIKE interactions)"))
