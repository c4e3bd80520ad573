"""Bringing a copy of the tables into a database that has nothing yet."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.jobs import UPKEEP
from storage.postgres.copying import Copied, Tell, copy_in
from storage.postgres.engine import reading, transaction
from storage.postgres.jobs import queued
from storage.postgres.tables import RUNNING, jobs, models

TELLING = ("videos", "users", "interactions", "models")
"""Tables of which a database that is in use has rows in one at least."""

UNDER_WAY = "It was under way when the backup was made that this database was restored from"


async def is_empty(engine: AsyncEngine) -> bool:
    """Whether nobody uses the database, migrated or not. Raises `Unavailable`."""
    async with reading(engine) as connection:
        for table in TELLING:
            there = await connection.scalar(text("SELECT to_regclass(:name)"), {"name": table})
            if there and await connection.scalar(text(f"SELECT true FROM {table} LIMIT 1")):  # noqa: S608 - names of ours
                return False
    return True


async def bring_in(
    engine: AsyncEngine, folder: Path, tables: Mapping[str, Copied], now: datetime, tell: Tell
) -> None:
    """Fill the tables from their files, all or nothing, and end what nobody works on any more.

    Trainings and batches that were under way have failed, and may be asked for again; erasures
    are queued anew, for they must not be lost; upkeep is asked for by its schedules.

    Args:
        engine: a patient one.
        folder: where the files are.
        tables: what they have; the database is at the revision that they were copied at.
        now: when what is ended has ended.
        tell: hears how far it is.

    Raises:
        Unavailable: the server did not answer, and nothing was written.
    """
    async with transaction(engine) as connection:
        await copy_in(connection, folder, tables, tell)
        await _end_trainings(connection, now)
        await _end_jobs(connection, now)


async def _end_trainings(connection: AsyncConnection, now: datetime) -> None:
    ended = {"status": "failed", "error": f"{UNDER_WAY}: start it again.", "finished_at": now}
    await connection.execute(update(models).where(text(RUNNING)).values(ended | {"queue_id": None}))


async def _end_jobs(connection: AsyncConnection, now: datetime) -> None:
    open_ = jobs.c.status.in_(("queued", "running"))
    await connection.execute(delete(jobs).where(open_, jobs.c.kind.in_(UPKEEP)))
    failed = {"status": "failed", "error": f"{UNDER_WAY}: retry it.", "finished_at": now}
    await connection.execute(update(jobs).where(open_, jobs.c.kind != "erasure").values(failed))
    anew = {"status": "queued", "attempt": None, "begun": 0}
    await connection.execute(update(jobs).where(open_).values(anew))
    for row in (await connection.execute(select(jobs).where(open_))).all():
        await queued(connection, row)
