"""How much of what exact search finds the index finds too, of the version that is live."""

import asyncio
import time
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncEngine

from core.hashing import hash64_many
from core.measures import GONE
from core.metrics import ANN_SELF_RECALL
from core.settings import Settings
from core.types import Hits
from embeddings.items import ItemVectors
from embeddings.version import Version
from retrieval.exact import nearest
from retrieval.ports import VectorSearch
from storage.milvus import MilvusSearch
from storage.postgres.figures import PostgresFigures
from upnext.jobs.local_copies import open_copy
from upnext.repeating import repeat

SAMPLE: Final = 32
DEPTH: Final = 100
TOLERANCE: Final = 1e-3  # of an inner product: servers compute in another order than numpy
LOOK_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 600.0


async def watch_recall(settings: Settings, engine: AsyncEngine) -> None:
    """Measure it of each version that goes live, and now and then, for ever; at first not soon.

    What a worker begins with should not wait for it: reading all vectors once is most of it.
    """
    await asyncio.sleep(LOOK_SECONDS)
    await repeat("measuring the index", RecallWatch(settings, engine).look, LOOK_SECONDS)


class RecallWatch:
    """Keeps `upnext_ann_self_recall` that of the live version."""

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self._settings = settings
        self._figures = PostgresFigures(engine)
        self._of: str | None = None
        self._at = 0.0

    async def look(self) -> None:
        """Measure if it is due; without an index or a live version there is nothing to say.

        Raises:
            UpnextError: a store did not answer, or has not got the version.
        """
        live = await self._figures.live() if self._settings.index == "milvus" else None
        if live is None or live.version != self._of:
            ANN_SELF_RECALL.set(GONE)
            self._of = None
        elif time.monotonic() - self._at < AGAIN_SECONDS:
            return
        if live is not None:
            await self._measure(live.version)

    async def _measure(self, name: str) -> None:
        version = await asyncio.to_thread(open_copy, self._settings, name)
        search = MilvusSearch.of(self._settings)
        try:
            recall = await self_recall(search, version)
        finally:
            await search.close()
        ANN_SELF_RECALL.set(recall)
        self._of, self._at = name, time.monotonic()


async def self_recall(search: VectorSearch, version: Version) -> float:
    """The share of the best 100 that the index finds, for up to 32 of the version's own videos.

    They are the same ones each time, so that a change is one of the index. Of videos as near as
    the hundredth any will do; one whose vector in the index is another counts as not found. 1 for
    a version without videos. The exact search runs in a thread.

    Raises:
        Unavailable: the index did not answer.
    """
    items = version.items
    drawn = np.random.default_rng(0).choice(len(items), min(SAMPLE, len(items)), replace=False)
    if len(drawn) == 0:
        return 1.0
    vectors = np.ascontiguousarray(items.vectors[np.sort(drawn)])
    wanted = await asyncio.to_thread(nearest, items, vectors, DEPTH)
    found = await search.search(f"videos_{version.version}", vectors, DEPTH)
    pairs = zip(vectors, wanted, found, strict=True)
    right = sum(_right(items, *pair) for pair in pairs)
    return right / sum(len(hits.ids) for hits in wanted)


def _right(items: ItemVectors, vector: NDArray[np.float32], wanted: Hits, found: Hits) -> int:
    """How many of the best were found; `vector` is that of the video they are near to."""
    vectors, known = items.at(hash64_many(found.ids))
    true = vectors @ vector
    as_near = true >= wanted.scores[-1] - TOLERANCE
    same = np.abs(true - found.scores) <= TOLERANCE
    return int((known & as_near & same).sum())
