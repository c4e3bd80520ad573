"""A training run in miniature, with vectors made up, that kills its own process at one step."""

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from core.clock import EPOCH, utc_now
from core.settings import load
from core.types import Hits, Model, ModelStatus, ModelType, VideoId, Weights
from embeddings.content_map import ContentMap
from embeddings.items import item_vectors, normalised
from embeddings.user_encoder import DecayedMean
from embeddings.version import MANIFEST, Fitted, write_version
from storage.artifacts import DirectoryArtifacts
from storage.milvus_writer import MilvusWriter
from storage.postgres.engine import pool
from storage.postgres.models import PostgresModels
from upnext.jobs.publish import Publication, Rows, publish
from upnext.jobs.publisher import publisher

VIDEOS = [VideoId(f"v{number:02}") for number in range(40)]
USERS = [f"u{number}" for number in range(12)]
DIM, CONTENT_DIM = 8, 16
STEPS: tuple[ModelStatus, ...] = ("training", "evaluating", "publishing")
ALIVE = ""


def die() -> None:
    """End this process as a kernel short of memory does."""
    os.kill(os.getpid(), signal.SIGKILL)


class DyingStore(DirectoryArtifacts):
    """An artifact store in which a process does not survive to store a manifest."""

    def put(self, key: str, path: Path) -> None:
        if key.endswith(MANIFEST):
            die()
        super().put(key, path)


class DyingWriter(MilvusWriter):
    """Writes until `step`, such as `create content` or `inserting videos`.

    The name of a method is the moment before it does anything; `inserting` and `upserting` are
    the moment when half of the rows are written.
    """

    def __init__(self, uri: str, step: str) -> None:
        super().__init__(uri)
        self.step = step

    def _at(self, moment: str, collection: str) -> None:
        if self.step == f"{moment} {collection.partition('_')[0]}":
            die()

    def create(self, collection: str, dim: int) -> None:
        self._at("create", collection)
        super().create(collection, dim)

    def insert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> Iterator[int]:
        self._at("insert", collection)
        half = len(ids) // 2
        yield from super().insert(collection, ids[:half], vectors[:half])
        self._at("inserting", collection)
        yield from super().insert(collection, ids[half:], vectors[half:])

    def upsert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> Iterator[int]:
        half = len(ids) // 2
        yield from super().upsert(collection, ids[:half], vectors[:half])
        self._at("upserting", collection)
        yield from super().upsert(collection, ids[half:], vectors[half:])

    def seal(self, collection: str) -> None:
        self._at("seal", collection)
        super().seal(collection)

    def count(self, collection: str) -> int:
        self._at("verify", collection)
        return super().count(collection)

    def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        self._at("verifying", collection)
        return super().search(collection, vectors, k)


def unit(count: int, dim: int, seed: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return normalised(drawn)


def fitted(seed: int, far: Sequence[VideoId]) -> Fitted:
    """Vectors made up, those of `far` with small inner products; texts do not depend on `seed`."""
    videos = [*VIDEOS, *far]
    items, content = unit(len(videos), DIM, seed), unit(len(videos), CONTENT_DIM, 0)
    content[len(VIDEOS) :] *= 1e-3
    return Fitted(
        items=item_vectors(videos, items),
        content=item_vectors(videos, content),
        watches=np.zeros(len(videos), dtype=np.int32),
        content_map=ContentMap(np.eye(CONTENT_DIM + 1, DIM, dtype=np.float32), normalise=True),
        encoder=DecayedMean(half_life=10.0),
        weights=Weights(),
        metrics={},
    )


def publication(version: str, revision: str, made: Fitted, seed: int) -> Publication:
    ids = [id_.decode() for id_ in made.items.ids]
    return Publication(
        version=version,
        content_revision=revision,
        videos=Rows(ids, made.items.vectors),
        users=Rows(USERS, unit(len(USERS), DIM, seed + 1)),
        content=Rows(ids, made.content.vectors),
    )


async def begin(overrides: dict[str, str], model_type: ModelType) -> tuple[Model, UUID]:
    """A run that is about to store its version."""
    async with pool(load(overrides)) as engine:
        registry = PostgresModels(engine, utc_now)
        model, token = await registry.create(model_type, {"content_revision": "r1"})
        for status in STEPS:
            model = await registry.update(model.id, token, status=status)
    return model, token


async def end(overrides: dict[str, str], model: Model, token: UUID) -> Model:
    """The run's last word."""
    async with pool(load(overrides)) as engine:
        return await PostgresModels(engine, utc_now).update(model.id, token, status="ready")


def train(
    overrides: dict[str, str],
    *,
    seed: int,
    step: str = ALIVE,
    revision: str = "r1",
    far: Sequence[VideoId] = (),
    model_type: ModelType = "content",
) -> Model:
    """Store and publish a version made up, as a training process does, and end at `step`."""
    settings = load(overrides)
    model, token = asyncio.run(begin(overrides, model_type))
    made = fitted(seed, far)
    folder = Path(unquote(urlsplit(settings.artifacts_url).path))
    store = DyingStore(folder) if step == "store" else DirectoryArtifacts(folder)
    write_version(
        store,
        made,
        version=model.version,
        model_type=model_type,
        content_revision=revision,
        created_at=EPOCH,
    )
    if step == "publish":
        die()
    with (
        publisher(settings, model.id) as dead,
        closing(DyingWriter(settings.milvus_uri or "", step)) as writer,
    ):
        publish(writer, publication(model.version, revision, made, seed), dead, _ignore)
        if step == "say that it is published":
            die()
    if step == "be ready":
        die()
    return asyncio.run(end(overrides, model, token))


def _ignore(_share: float, _message: str) -> None:
    pass
