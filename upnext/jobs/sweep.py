"""Sweeping: what old, failed and killed runs left in the index and in the artifact store."""

import asyncio

import msgspec

from core.clock import Clock, utc_now
from core.settings import Settings
from core.types import Model
from embeddings.manifest import folder
from embeddings.ports import ArtifactStore
from embeddings.text import REVISION
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.model_status import STEPS
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from upnext.jobs.keys import snapshot_key
from upnext.jobs.local_copies import forget_old_copies
from upnext.jobs.ports import VectorWriter
from upnext.jobs.unfinished import forget_others

REVISION_PARAM = "content_revision"  # a run that no worker has begun has none


class Swept(msgspec.Struct, frozen=True):
    """What is gone now: versions, and the collections and artifact folders they had."""

    versions: list[str]
    collections: list[str]
    artifacts: list[str]


async def sweep(settings: Settings, clock: Clock = utc_now) -> Swept:
    """Delete what belongs to models that ended longer ago than the grace period.

    And this machine's copies of versions that nobody is to open any more, and what its unfinished
    runs kept if they have ended meanwhile.

    The live version, the one before it, those that are ready and those being made stay. Killed
    at any point, the next sweep goes on where it was. Only what the registry knows is deleted.

    Raises:
        Unavailable: a store did not answer; the rest is swept the next time.
    """
    async with pool(settings) as engine:
        registry = PostgresModels(engine, clock)
        await forget_old_copies(settings, await registry.openable())
        running = [model.id for step in STEPS for model in await registry.find(status=step)]
        await forget_others(settings, running)
        gone = await registry.sweepable(settings.sweep_grace_seconds)
        if not gone:
            return Swept([], [], [])
        condemned = {model.id for model in gone}
        kept = [model for model in await registry.find() if model.id not in condemned]
        swept = await asyncio.to_thread(_delete, settings, gone, kept)
        for model in gone:
            await registry.mark_swept(model.id)
        return swept


def _delete(settings: Settings, gone: list[Model], kept: list[Model]) -> Swept:
    writer = MilvusWriter.of(settings)
    try:
        collections = _drop_collections(writer, gone, kept)
    finally:
        writer.close()
    artifacts = _delete_artifacts(artifact_store(settings), gone)
    return Swept([model.version for model in gone], collections, artifacts)


def _drop_collections(writer: VectorWriter, gone: list[Model], kept: list[Model]) -> list[str]:
    wanted = {REVISION, *_revisions(kept)}
    names = {f"{kind}_{model.version}" for model in gone for kind in ("videos", "users")}
    names |= {f"content_{revision}" for revision in _revisions(gone) - wanted}
    there = sorted(names & set(writer.collections()))
    for name in there:
        writer.drop(name)
    return there


def _revisions(models: list[Model]) -> set[str]:
    return {str(one.params[REVISION_PARAM]) for one in models if REVISION_PARAM in one.params}


def _delete_artifacts(store: ArtifactStore, gone: list[Model]) -> list[str]:
    prefixes = [
        prefix for model in gone for prefix in (folder(model.version), snapshot_key(model.id))
    ]
    there = [prefix for prefix in prefixes if store.keys(prefix)]
    for prefix in there:
        store.delete(prefix)
    return there
