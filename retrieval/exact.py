"""Exact search over the mapped item vectors of open versions: no server, no approximation."""

import asyncio
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from core.errors import Unavailable
from core.types import Hits, VideoId
from embeddings.items import UNKNOWN, ItemVectors
from embeddings.version import Version

INDEX = "exact"
# A matrix product adds up in an order that depends on how many queries share it. All rows as near
# to the best k as this share of the largest product are therefore gone through one by one.
ROUNDING = 1e-5
MOST_PRODUCTS = 8_000_000  # held at a time, 32 MB
# A search of less than this takes less than about a millisecond: multiplications, and what choosing
# costs a row and handing over costs a query, in as many of them.
AT_ONCE, A_ROW, A_QUERY = 6_000_000, 48, 1_000_000


class ExactSearch:
    """`retrieval.ports.VectorSearch` over what is open in this process.

    `videos_<version>` are the item vectors of that version, `content_<revision>` the text vectors
    of the first open version of that revision; tails are searched with them.
    """

    def __init__(self, open_versions: Callable[[], Iterable[Version]], *, most_bytes: int) -> None:
        self._open_versions = open_versions
        self._most_bytes = most_bytes

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        """See `retrieval.ports.VectorSearch.search`; equal products come by id.

        A search that takes longer than about a millisecond runs in a thread.

        Raises:
            Unavailable: no open version has that collection, or its vectors are more than
                `most_bytes`: searching them all would take longer than a request should.
        """
        items = self._of(collection)
        effort = len(vectors) * (items.count * (items.dim + A_ROW) + A_QUERY)
        if effort <= AT_ONCE:
            return nearest(items, vectors, k)
        return await asyncio.to_thread(nearest, items, vectors, k)

    def _of(self, collection: str) -> ItemVectors:
        for version in self._open_versions():
            if collection == f"videos_{version.version}":
                return self._bounded(collection, version.items)
            if collection == f"content_{version.content_revision}":
                return self._bounded(collection, version.content)
        raise Unavailable(INDEX, f"No version with {collection} is open.")

    def _bounded(self, collection: str, items: ItemVectors) -> ItemVectors:
        size = items.nbytes
        if size > self._most_bytes:
            raise Unavailable(
                INDEX,
                f"{collection} has {size:,} bytes of vectors, exact search takes at most "
                f"{self._most_bytes:,} (UPNEXT_EXACT_BYTES).",
            )
        return items


def nearest(items: ItemVectors, vectors: NDArray[np.float32], k: int) -> list[Hits]:
    """The best `k` of `items` for each of `vectors`, float32 (q, d), equal products by id.

    The answer to a vector does not depend on those that are asked beside it.
    """
    rows = _Rows(items)
    if rows.count == 0 or k < 1:
        return [Hits((), np.zeros(0, dtype=np.float32)) for _ in vectors]
    step = max(1, MOST_PRODUCTS // rows.count)
    return [
        hits
        for start in range(0, len(vectors), step)
        for hits in _best(rows, np.ascontiguousarray(vectors[start : start + step]), k)
    ]


class _Rows:
    """All rows of item vectors, those of the tail after the others."""

    def __init__(self, items: ItemVectors) -> None:
        self._parts = items.parts
        self.count = items.count
        self._tail_at = len(items)
        self._replaced = np.zeros(0, dtype=np.int64)
        if items.tail is not None:
            rows = items.rows(items.tail.hashes)
            self._replaced = rows[rows != UNKNOWN]

    def products(
        self, vectors: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Products (q, n), -inf where the tail has the video, and how far off they may be (q,)."""
        made = np.concatenate([vectors @ part.vectors.T for part in self._parts], axis=1)
        rounding = ROUNDING * np.abs(made).max(axis=1)
        made[:, self._replaced] = -np.inf
        return made, rounding

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.bytes_], NDArray[np.float32]]:
        """Ids (m,) and vectors (m, d) of these rows, ascending."""
        split = int(np.searchsorted(rows, self._tail_at))
        shares = [rows[:split], rows[split:] - self._tail_at]
        pairs = list(zip(self._parts, shares, strict=False))
        ids = np.concatenate([part.ids[at] for part, at in pairs])
        return ids, np.concatenate([part.vectors[at] for part, at in pairs])


def _best(rows: _Rows, vectors: NDArray[np.float32], k: int) -> Iterable[Hits]:
    products, roundings = rows.products(vectors)
    count = products.shape[1]
    for vector, row, rounding in zip(vectors, products, roundings, strict=True):
        least = -np.inf if k >= count else np.partition(row, count - k)[count - k] - 2 * rounding
        ids, found = rows.take(np.flatnonzero((row >= least) & (row > -np.inf)))
        scores = np.einsum("ij,j->i", found, vector)
        order = _order(ids, scores)[:k]
        names = tuple(VideoId(id_.decode()) for id_ in ids[order].tolist())
        yield Hits(names, scores[order])


def _order(ids: NDArray[np.bytes_], scores: NDArray[np.float32]) -> NDArray[np.intp]:
    order = np.argsort(-scores, kind="stable")
    if np.all(np.diff(scores[order]) < 0):
        return order
    return np.lexsort((ids, -scores))  # comparing ids takes longer than everything else
