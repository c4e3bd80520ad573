"""Users who were erased while a run was learning from them."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from core.clock import utc_now
from core.settings import Settings
from core.types import UserId
from embeddings.ports import ArtifactStore
from storage.postgres.engine import pool
from storage.postgres.erasure import PostgresErasures
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
    erased = asyncio.run(_erased(settings, store, model_id))
    if not erased:
        return users
    drop_from_snapshots(store, erased, snapshot_key(model_id))
    kept = [at for at, user in enumerate(users.ids) if user not in erased]
    return Rows([users.ids[at] for at in kept], users.vectors[kept])


async def _erased(settings: Settings, store: ArtifactStore, model_id: str) -> set[UserId]:
    """Those of the run's snapshot who were erased."""
    async with pool(settings, patient=True) as engine:
        erasures = PostgresErasures(engine, utc_now)
        if not await erasures.count():
            return set()
        with TemporaryDirectory(prefix="upnext-erased-") as folder:
            snapshot = Path(folder) / "snapshot.parquet"
            store.fetch(snapshot_key(model_id), snapshot)
            return await erasures.erased(users_of(snapshot))
