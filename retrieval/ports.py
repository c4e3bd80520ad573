"""What retrieval needs of the stores."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.types import Change, ChangeCursor, Hits, Model, PopularityRow, Video, VideoId


class VectorSearch(Protocol):
    """Approximate nearest neighbours by inner product."""

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        """The best `k` of `collection` for each of `vectors`, float32 (q, d).

        Fewer come when it is small, or when `k` is more than the index brings in one search.

        Raises:
            Unavailable: the index did not answer, or does not have that collection.
        """
        ...


class CatalogueReader(Protocol):
    """The catalogue and its popularity, as the in-memory catalogue reads them."""

    def stream(self) -> AsyncIterator[Sequence[Video]]:
        """All videos, in pages, taken-down ones included. Raises `Unavailable`."""
        ...

    async def get_many(self, ids: Sequence[VideoId]) -> list[Video]:
        """Those of `ids` that exist, in any order. Raises `Unavailable`."""
        ...

    async def popularity(self, since: datetime | None) -> list[PopularityRow]:
        """Counters that changed at or after `since` (None: all). Raises `Unavailable`."""
        ...

    async def popularity_of(self, ids: Sequence[VideoId]) -> list[PopularityRow]:
        """Counters of those of `ids` that have any, in any order. Raises `Unavailable`."""
        ...


class ChangeReader(Protocol):
    """News to the replicas; what it is about is read again, so its order does not matter."""

    async def end(self) -> ChangeCursor:
        """A cursor after which nothing that is committed later can be missed."""
        ...

    async def read(self, after: ChangeCursor) -> tuple[list[Change], ChangeCursor]:
        """Changes after a cursor and the next cursor. Raises `Unavailable`.

        A change without keys is news of everything of its kind.
        """
        ...


class ModelReader(Protocol):
    """The model registry, as replicas read it."""

    async def openable(self) -> list[Model]:
        """The versions to keep open: the live one first if there is one. Raises `Unavailable`."""
        ...
