"""Versions of vectors made up, stored and published as a training process does it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from core.clock import EPOCH, utc_now
from core.settings import Settings
from core.types import Model, ModelStatus, ModelType, VideoId, Weights
from embeddings.content_map import ContentMap
from embeddings.items import item_vectors, normalised
from embeddings.ports import ArtifactStore
from embeddings.user_encoder import DecayedMean
from embeddings.version import Fitted, write_version
from storage.artifacts import artifact_store
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from upnext.jobs.publish import Publication, Rows, publish
from upnext.jobs.publisher import publisher

USERS = [f"u{number}" for number in range(12)]
DIM, CONTENT_DIM = 8, 16
STEPS: tuple[ModelStatus, ...] = ("training", "evaluating", "publishing")
WEIGHTS = Weights(similarity=0.6, popularity=0.2, genre=0.1, recency=0.05, exploration=0.05)


def unit(count: int, dim: int, seed: int) -> NDArray[np.float32]:
    """Vectors of length 1, float32 (count, dim), the same for a seed."""
    drawn = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return normalised(drawn)


def fitted(
    videos: Sequence[VideoId], *, seed: int, far: Sequence[VideoId] = (), dim: int = DIM
) -> Fitted:
    """A fit of `videos`, and of `far` ones whose text vectors have small inner products.

    Text vectors do not depend on the seed, nor those of `videos` on what is far.
    """
    every = [*videos, *far]
    content = unit(len(every), CONTENT_DIM, 0)
    content[len(videos) :] *= 1e-3
    return Fitted(
        items=item_vectors(every, unit(len(every), dim, seed)),
        content=item_vectors(every, content),
        watches=np.zeros(len(every), dtype=np.int32),
        content_map=ContentMap(np.eye(CONTENT_DIM + 1, dim, dtype=np.float32), normalise=True),
        encoder=DecayedMean(half_life=10.0),
        weights=WEIGHTS,
        metrics={},
    )


def train(
    settings: Settings,
    made: Fitted,
    *,
    revision: str = "r1",
    model_type: ModelType = "content",
    store: ArtifactStore | None = None,
    writer: MilvusWriter | None = None,
    reach: Callable[[str], None] = lambda _moment: None,
) -> Model:
    """Store and publish a version of these vectors; it is `ready` then.

    Args:
        settings: where the stores are.
        made: what a fit gives.
        revision: of the text encoder.
        model_type: of which one run may be under way.
        store: in the place of the settings' artifact store.
        writer: in the place of one for the settings' index; it is closed.
        reach: hears the moments that are neither of the store nor of the writer.
    """
    model, token = asyncio.run(_begin(settings, model_type, revision))
    write_version(
        store or artifact_store(settings.artifacts_url or ""),
        made,
        version=model.version,
        model_type=model_type,
        content_revision=revision,
        created_at=EPOCH,
    )
    reach("publish")
    with (
        publisher(settings, model.id, token) as dead,
        closing(writer or MilvusWriter.of(settings)) as index,
    ):
        publish(index, _publication(model.version, revision, made), dead, _ignore)
        reach("say that it is published")
    reach("be ready")
    return asyncio.run(_end(settings, model, token))


async def _begin(settings: Settings, model_type: ModelType, revision: str) -> tuple[Model, UUID]:
    async with pool(settings) as engine:
        registry = PostgresModels(engine, utc_now)
        model, token = await registry.create(model_type, {"content_revision": revision})
        for status in STEPS:
            model = await registry.update(model.id, token, status=status)
    return model, token


async def _end(settings: Settings, model: Model, token: UUID) -> Model:
    async with pool(settings) as engine:
        return await PostgresModels(engine, utc_now).update(model.id, token, status="ready")


def _publication(version: str, revision: str, made: Fitted) -> Publication:
    ids = [id_.decode() for id_ in made.items.ids]
    return Publication(
        version=version,
        content_revision=revision,
        videos=Rows(ids, made.items.vectors),
        users=Rows(USERS, unit(len(USERS), made.items.dim, 7)),
        content=Rows(ids, made.content.vectors),
    )


def _ignore(_share: float, _message: str) -> None:
    pass
