"""Versions that are stored and in the registry, and that no index holds."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.settings import Settings
from core.types import Model, ModelStatus
from embeddings.version import write_version
from storage.artifacts import artifact_store
from storage.postgres.models import PostgresModels
from storage.postgres.videos import PostgresVideos
from tests.catalogues import fitted_of, random_vectors, video

REVISION = "r1"
STEPS: tuple[ModelStatus, ...] = ("training", "evaluating", "publishing", "ready")


async def store_videos(engine: AsyncEngine, names: Sequence[str]) -> None:
    """A catalogue of these, each a day older than the one before."""
    videos = [video(name, "drama", age_days=row) for row, name in enumerate(names)]
    await PostgresVideos(engine).upsert_many(videos)


async def store_ready(
    settings: Settings, engine: AsyncEngine, names: Sequence[str], *, seed: int = 5
) -> Model:
    """A `ready` version of these videos with random vectors."""
    registry = PostgresModels(engine, utc_now)
    model, token = await registry.create("content", {"content_revision": REVISION})
    write_version(
        artifact_store(settings.artifacts_url or ""),
        fitted_of(names, random_vectors(len(names), seed=seed)),
        version=model.version,
        model_type="content",
        content_revision=REVISION,
        created_at=utc_now(),
    )
    for status in STEPS:
        model = await registry.update(model.id, token, status=status)
    return model


async def store_live(settings: Settings, engine: AsyncEngine, names: Sequence[str]) -> Model:
    """A live version of these videos."""
    model = await store_ready(settings, engine, names)
    return await PostgresModels(engine, utc_now).promote(model.id)
