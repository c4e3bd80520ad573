"""A search over vectors in memory that remembers what it was asked."""

import asyncio
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.errors import Unavailable
from core.types import Hits
from storage.memory.index import MemoryIndex, MemorySearch
from tests.catalogues import DIM, random_vectors

VIDEOS, TEXTS = "videos_1", "content_1"


class Counted:
    """200 videos in two collections. It may be `away`; `without` is who it stands in for."""

    def __init__(self) -> None:
        index = MemoryIndex()
        for seed, collection in enumerate((VIDEOS, TEXTS)):
            index.create(collection, DIM)
            names = [f"v{number:03}" for number in range(200)]
            list(index.insert(collection, names, random_vectors(200, seed=seed)))
        self.alone = MemorySearch(index)
        self.asked: list[tuple[str, int, int]] = []
        self.away = False
        self.without: str | None = None

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        """See `retrieval.ports.VectorSearch.search`."""
        self.asked.append((collection, len(vectors), k))
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("milvus")
        found = await self.alone.search(collection, vectors, k)
        return [replace(hits, without=self.without) for hits in found]
