"""A training process that kills itself at one step."""

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from core.settings import load
from core.types import Hits, VideoId
from embeddings.manifest import MANIFEST
from storage.artifacts import DirectoryArtifacts
from storage.milvus_writer import MilvusWriter
from tests.made_up import fitted, train

VIDEOS = [VideoId(f"v{number:02}") for number in range(40)]


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


def train_until(
    step: str, overrides: dict[str, str], *, far: Sequence[VideoId] = (), revision: str = "r1"
) -> None:
    """Train a version of `VIDEOS` and end at `step`."""
    settings = load(overrides)
    folder = Path(unquote(urlsplit(settings.artifacts_url or "").path))

    def reach(moment: str) -> None:
        if moment == step:
            die()

    train(
        settings,
        fitted(VIDEOS, seed=2, far=far),
        revision=revision,
        store=DyingStore(folder) if step == "store" else None,
        writer=DyingWriter(settings.milvus_uri or "", step),
        reach=reach,
    )
