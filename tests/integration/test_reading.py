"""What training reads of a real PostgreSQL: histories by columns, and counts that end soon."""

import asyncio
import os
import threading
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import InvalidInput, Unavailable
from core.settings import load
from core.types import Interaction, Video, VideoId
from embeddings.history_reader import SNAPSHOT, read_snapshot, table_of
from storage.artifacts import DirectoryArtifacts
from storage.postgres.engine import pool, transaction
from storage.postgres.enough import MOST, Counts, about, counts
from storage.postgres.history_columns import copy_history
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.videos import PostgresVideos
from tests.catalogues import video
from tests.histories import START, watch
from upnext.jobs.messages import Request
from upnext.jobs.preflight import preflight
from upnext.jobs.reading import read

pytestmark = pytest.mark.integration

ODD = ['a"b', "a,b", "a\\.", "\\.", "a b", "été", "NULL", "7"]
MANY = text(
    """
    INSERT INTO interactions
    SELECT gen_random_uuid(), user_id, video_id, kind, occurred_at, weight
    FROM interactions, generate_series(1, 1500)
    """
)
END_COPIES = text(
    """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE query LIKE 'COPY%' AND datname = current_database()
    """
)


@pytest.fixture
async def watches(engine: AsyncEngine) -> list[Interaction]:
    rows = [
        watch(f"{user} {video} {at}", user, video, hours=at + 1 / 3, weight=0.1 * at)
        for user in ODD
        for video in ODD[:3]
        for at in range(4)
    ]
    await PostgresInteractions(engine).add_many(rows)
    return sorted(rows, key=lambda row: (row.user_id.encode(), row.occurred_at, row.key))


async def test_a_copy_is_what_the_rows_are(
    engine: AsyncEngine, database_url: str, watches: list[Interaction]
) -> None:
    async with transaction(engine) as connection:  # a server with ways of its own
        for told in ("TimeZone = 'Asia/Kolkata'", "DateStyle = 'SQL, DMY'"):
            await connection.execute(text(f"ALTER ROLE CURRENT_USER SET {told}"))
    async with pool(load({"postgres_url": database_url}), patient=True) as other:
        try:
            tables: list[pa.Table] = []
            await copy_history(other, None, None, tables.append)
        finally:
            async with transaction(engine) as connection:
                await connection.execute(text("ALTER ROLE CURRENT_USER RESET ALL"))
        copied = pa.concat_tables(tables).select(SNAPSHOT.names)
        assert copied.cast(SNAPSHOT) == table_of(watches)

        part: list[pa.Table] = []
        end = START + timedelta(hours=2)
        await copy_history(other, START + timedelta(hours=1), end, part.append)
        [table] = part
        assert table.num_rows == len(ODD) * 3
        nothing: list[pa.Table] = []
        await copy_history(other, end + timedelta(days=9), None, nothing.append)
        assert nothing == []


async def test_who_cannot_take_more_ends_the_copy(
    engine: AsyncEngine, watches: list[Interaction]
) -> None:
    assert watches

    def full(_table: pa.Table) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(Exception, match="No space left"):
        await copy_history(engine, None, None, full)
    assert (await counts(engine, None, None)).users == len(ODD)  # its connection is of use again


async def test_a_server_that_goes_away_is_unavailable(
    engine: AsyncEngine, database_url: str, watches: list[Interaction]
) -> None:
    async with transaction(engine) as connection:  # more than the connection holds on its way
        await connection.execute(MANY)
    taken: list[int] = []

    def take(table: pa.Table) -> None:
        taken.append(table.num_rows)
        if len(taken) == 1:
            ending = threading.Thread(target=lambda: asyncio.run(end_copies(database_url)))
            ending.start()
            ending.join()

    with pytest.raises(Unavailable):
        await copy_history(engine, None, None, take)
    assert 0 < sum(taken) < len(watches) * 1501


async def end_copies(database_url: str) -> None:
    async with (
        pool(load({"postgres_url": database_url})) as other,
        transaction(other) as connection,
    ):
        await connection.execute(END_COPIES)


async def test_counts_end_when_they_are_enough(
    engine: AsyncEngine, watches: list[Interaction]
) -> None:
    everything = await counts(engine, None, None)
    assert everything == Counts(len(watches), len(ODD), 0, 0, 0)
    await PostgresVideos(engine).upsert_many([Video(id=VideoId(ODD[0]), title="42 !")])
    assert await counts(engine, None, None) == Counts(len(watches), len(ODD), 32, 1, 0)
    await PostgresVideos(engine).upsert_many([Video(id=VideoId(ODD[0]), title="猫 42")])
    assert (await counts(engine, None, None)).told == 1
    later = START + timedelta(days=2)
    assert (await counts(engine, later, None)).interactions == 0
    assert (await counts(engine, None, later)).users == len(ODD)
    async with transaction(engine) as connection:
        await connection.execute(MANY)
        await connection.execute(text("ANALYZE interactions"))
    found = await counts(engine, None, None)
    assert found.interactions == MOST
    assert 100_000 < await about(engine, None, None) < 200_000


async def test_a_look_that_cannot_be_had_holds_no_run_up(engine: AsyncEngine) -> None:
    request = Request(
        model_id="m1", attempt=uuid4(), model_type="als", version="als_1", parent=os.getpid()
    )
    with pytest.raises(InvalidInput, match="The catalogue has 0 videos"):
        await preflight(engine, request)
    async with pool(load({"postgres_url": "postgresql://127.0.0.1:1/nowhere"})) as away:
        await preflight(away, request)


async def test_a_run_names_what_it_read(
    engine: AsyncEngine, database_url: str, tmp_path: Path, watches: list[Interaction]
) -> None:
    await PostgresVideos(engine).upsert_many([video(name, "drama") for name in ODD])
    store = DirectoryArtifacts(tmp_path / "artifacts")
    request = Request(
        model_id="m1", attempt=uuid4(), model_type="als", version="als_1", parent=os.getpid()
    )
    shares: list[float] = []
    data = await asyncio.to_thread(
        lambda: asyncio.run(
            read(
                load({"postgres_url": database_url}),
                request,
                store,
                lambda share, _message: shares.append(share),
            )
        )
    )
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1
    kept = tmp_path / "kept"
    store.fetch(data.snapshot.key, kept)
    assert data.pinned()["snapshot"] == {
        "key": "snapshots/m1.parquet",
        "rows": len(watches),
        "sha256": sha256(kept.read_bytes()).hexdigest(),
    }
    rows = {id_: row for row, id_ in enumerate(data.catalogue.ids)}
    again = read_snapshot(kept, rows)
    for name in ("offsets", "rows", "weights", "times"):
        assert np.array_equal(getattr(again, name), getattr(data.histories, name))
    assert again.users == data.histories.users
