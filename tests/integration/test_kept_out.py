"""Files of many users never bring back who was erased."""

import asyncio
import os
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.errors import Unavailable
from core.settings import load
from core.types import UserId
from embeddings.history_reader import HistoryReader, table_of
from storage.artifacts import DirectoryArtifacts
from storage.postgres.erasure import PostgresErasures
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.rewriting import rewriting
from storage.postgres.videos import PostgresVideos
from tests.catalogues import video
from tests.histories import watch
from upnext.jobs.erased_files import users_of
from upnext.jobs.kept_out import without_erased
from upnext.jobs.keys import snapshot_key
from upnext.jobs.messages import Request
from upnext.jobs.publish import Rows
from upnext.jobs.reading import read

pytestmark = pytest.mark.integration


async def test_a_run_leaves_out_who_was_erased_while_it_read(
    engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    settings = load({"postgres_url": database_url})
    store, snapshot = DirectoryArtifacts(tmp_path / "artifacts"), tmp_path / "snapshot"
    rows = [watch("1", "ann", "a"), watch("2", "bob", "a")]
    await PostgresInteractions(engine).add_many(rows)
    with HistoryReader({}, snapshot) as reader:
        reader.take(table_of(rows))
    store.put(snapshot_key("m1"), snapshot)
    users = Rows(["ann", "bob"], np.eye(2, dtype=np.float32))

    def published() -> Rows:
        return without_erased(settings, store, "m1", users)

    assert await asyncio.to_thread(published) == users

    await PostgresErasures(engine, utc_now).ask(UserId("ann"), "ops")
    left = await asyncio.to_thread(published)
    assert (left.ids, left.vectors.tolist()) == (["bob"], [[0.0, 1.0]])
    store.fetch(snapshot_key("m1"), snapshot)
    assert users_of(snapshot) == ["bob"]

    left = await asyncio.to_thread(published)  # the erasure itself may have cleaned it
    assert left.ids == ["bob"]


async def test_a_snapshot_stored_after_an_erasure_has_passed_is_without_the_user(
    engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    await PostgresVideos(engine).upsert_many([video(f"v{n}", "drama") for n in range(10)])
    rows = [watch("1", "ann", "v1"), watch("2", "bob", "v1")]
    await PostgresInteractions(engine).add_many(rows)
    settings, erasures = load({"postgres_url": database_url}), PostgresErasures(engine, utc_now)
    request = Request(
        model_id="m1", attempt=uuid4(), model_type="als", version="als_1", parent=os.getpid()
    )

    class Late(DirectoryArtifacts):
        """Somebody is erased, whole, before the snapshot has arrived."""

        def put(self, key: str, path: Path) -> None:
            asyncio.run_coroutine_threadsafe(erasures.ask(UserId("ann"), "ops"), loop).result(10)
            super().put(key, path)

    loop, store = asyncio.get_running_loop(), Late(tmp_path / "artifacts")
    await asyncio.to_thread(lambda: asyncio.run(read(settings, request, store, _ignore)))
    store.fetch(snapshot_key("m1"), tmp_path / "snapshot")
    assert users_of(tmp_path / "snapshot") == ["bob"]

    class Away(Late):
        def fetch(self, key: str, path: Path) -> None:
            raise Unavailable("artifacts", f"{key} for {path}")

    away = Away(tmp_path / "others")
    with pytest.raises(Unavailable):
        await asyncio.to_thread(lambda: asyncio.run(read(settings, request, away, _ignore)))
    assert away.keys("snapshots/") == []


def _ignore(_share: float, _message: str) -> None: ...


async def test_files_are_rewritten_by_one_at_a_time(engine: AsyncEngine) -> None:
    inside: list[int] = []

    async def rewrite() -> None:
        async with rewriting(engine):
            inside.append(1)
            await asyncio.sleep(0)
            await engine_answers(engine)
            assert len(inside) == 1
            inside.pop()

    await asyncio.gather(*(rewrite() for _ in range(3)))


async def engine_answers(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
