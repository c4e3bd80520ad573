"""Exact search over collections in memory: the twin of Milvus, for tests and for small sets."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import Unavailable
from core.types import Hits, VideoId


class MemoryIndex:
    """Collections of vectors in dicts; written as `MilvusWriter`, searched as `MilvusSearch`."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, dict[str, NDArray[np.float32]]]] = {}

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        return sorted(self._kept)

    def create(self, collection: str, dim: int) -> None:
        """An empty collection of vectors (dim,), in place of one of that name."""
        self._kept[collection] = (dim, {})

    def insert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> Iterator[int]:
        """Write rows whose ids the collection lacks; yields the rows written so far."""
        return self.upsert(collection, ids, vectors)

    def upsert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> Iterator[int]:
        """Write rows over those of the same ids; yields the rows written so far."""
        dim, rows = self._of(collection)
        if vectors.shape[1] != dim:
            raise Unavailable("milvus", f"{collection} holds vectors of {dim} numbers")
        rows.update(zip(ids, vectors.astype(np.float32), strict=True))
        if ids:
            yield len(ids)

    def seal(self, collection: str) -> None:
        """Nothing to do here but to insist that the collection is there."""
        self._of(collection)

    def count(self, collection: str) -> int:
        """Rows of a collection."""
        return len(self._of(collection)[1])

    def lacking(self, collection: str, ids: Sequence[str]) -> list[str]:
        """Those of `ids` that a collection does not have, in their order."""
        rows = self._of(collection)[1]
        return [id_ for id_ in ids if id_ not in rows]

    def scan(self, collection: str) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """All rows: ids and vectors, float32 (len(ids), d)."""
        rows = self._of(collection)[1]
        if rows:
            yield list(rows), np.stack(list(rows.values()))

    def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Delete rows; an id that is not there is no error."""
        rows = self._of(collection)[1]
        for id_ in ids:
            rows.pop(id_, None)

    def drop(self, collection: str) -> None:
        """Drop a collection; none is no error."""
        self._kept.pop(collection, None)

    def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        """The best `k` for each of `vectors`, equal products by id."""
        rows = self._of(collection)[1]
        ids = sorted(rows)
        if not ids:
            return [Hits((), np.zeros(0, dtype=np.float32)) for _ in vectors]
        products = vectors @ np.stack([rows[id_] for id_ in ids]).T
        order = np.argsort(-products, axis=1, kind="stable")[:, :k]
        return [
            Hits(tuple(VideoId(ids[at]) for at in best), row[best].astype(np.float32))
            for best, row in zip(order, products, strict=True)
        ]

    def _of(self, collection: str) -> tuple[int, dict[str, NDArray[np.float32]]]:
        try:
            return self._kept[collection]
        except KeyError as error:
            raise Unavailable("milvus", f"milvus has no collection {collection}") from error


class MemorySearch:
    """Exact search in a `MemoryIndex`, behind `retrieval.ports.VectorSearch`."""

    def __init__(self, index: MemoryIndex) -> None:
        self._index = index

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        """See `retrieval.ports.VectorSearch.search`."""
        return self._index.search(collection, vectors, k)
