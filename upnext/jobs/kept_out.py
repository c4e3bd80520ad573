"""Users who were erased while a run was learning from them."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.settings import Settings
from core.types import UserId
from embeddings.ports import ArtifactStore
from storage.postgres.engine import pool
from storage.postgres.erasure import PostgresErasures
from storage.postgres.rewriting import rewriting
from upnext.jobs.erased_files import drop_from_snapshots, users_of
from upnext.jobs.keys import snapshot_key
from upnext.jobs.publish import Rows


def without_erased(settings: Settings, store: ArtifactStore, model_id: str, users: Rows) -> Rows:
    """The rows of users that may be published; the run's snapshot loses the others too.

    For the one publisher, before it publishes: an erasure waits until it has, and then deletes
    what it wrote of users who were erased since.

    Raises:
        Unavailable: a store did not answer.
    """
    erased = asyncio.run(_erased(settings, store, model_id, users))
    if not erased:
        return users
    kept = [at for at, user in enumerate(users.ids) if user not in erased]
    return Rows([users.ids[at] for at in kept], users.vectors[kept])


async def _erased(
    settings: Settings, store: ArtifactStore, model_id: str, users: Rows
) -> set[UserId]:
    """Those of the rows who were erased: the snapshot may have lost them before."""
    async with pool(settings, patient=True) as engine:
        await clean_snapshot(engine, store, model_id)
        return await PostgresErasures(engine, utc_now).erased(users.ids)


async def clean_snapshot(engine: AsyncEngine, store: ArtifactStore, model_id: str) -> None:
    """Leave out of a run's snapshot who was erased by now; a later erasure finds it there.

    Raises:
        Unavailable: a store did not answer.
    """
    erasures, key = PostgresErasures(engine, utc_now), snapshot_key(model_id)
    if not await erasures.count():
        return
    async with rewriting(engine):
        with TemporaryDirectory(prefix="upnext-erased-") as folder:
            snapshot = Path(folder) / "snapshot.parquet"
            store.fetch(key, snapshot)
            erased = await erasures.erased(users_of(snapshot))
        if erased:
            drop_from_snapshots(store, erased, key)
