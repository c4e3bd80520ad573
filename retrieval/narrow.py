"""Searching when filters let only some videos through, in an index that knows no filters.

Few allowed videos are compared one by one; of many, so many more are asked for that enough of them
are allowed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from core.types import Hits
from embeddings.items import ItemVectors
from retrieval.ports import VectorSearch
from retrieval.query import Query

FEW = 20_000  # videos; comparing them takes 2 ms with 64 numbers each, 10 ms five times with 384
MOST_HITS = 16_384  # what an index brings in one search
SURPLUS = 1.5  # hits near a vector need not be allowed as often as others are
MOST_COMPARED = 500_000  # videos; half a second with five times 384 numbers each
STEP = 16_384  # rows copied at a time, 25 MB with 384 numbers each
IN_THREAD = 500_000  # numbers; reading fewer takes less than a millisecond


@dataclass(frozen=True, slots=True)
class Vectors:
    """A collection of the index, and the mapped vectors that are in it."""

    collection: str
    items: ItemVectors


async def search_allowed(
    search: VectorSearch,
    query: Query,
    where: Vectors,
    vectors: NDArray[np.float32],
    *,
    k: int,
    surplus: int,
) -> list[Hits]:
    """The best of a collection for each of `vectors`, float32 (q, d), best first.

    Whoever asks drops what is not allowed. When the query's filters have no genre, region or
    maturity that is one search for `k + surplus`. When they have, there are `k` allowed videos
    among the hits of each vector, or all there are that have a vector; where more than 500,000
    are allowed, perhaps fewer.

    Raises:
        Unavailable: the index did not answer.
    """
    if not query.filters.selects:
        found = await search.search(where.collection, vectors, k + surplus)
        query.note(found)
        return found
    rows = np.flatnonzero(query.allowed)
    asked = ceil(SURPLUS * k * len(query.snapshot) / max(len(rows), 1)) + query.barred
    if len(rows) > FEW and asked <= MOST_HITS:
        found = await search.search(where.collection, vectors, asked)
        if len(rows) > MOST_COMPARED or _enough(found, query, k):
            query.note(found)
            return found
    return await _compare(query, where.items, vectors, k, rows[:MOST_COMPARED])


def _enough(found: Sequence[Hits], query: Query, k: int) -> bool:
    return all(query.allows(query.snapshot.rows(hits.ids)).sum() >= k for hits in found)


async def _compare(
    query: Query,
    items: ItemVectors,
    vectors: NDArray[np.float32],
    k: int,
    rows: NDArray[np.int64],
) -> list[Hits]:
    if len(rows) * items.dim <= IN_THREAD:
        return compared(query, items, vectors, k, rows)
    return await asyncio.to_thread(compared, query, items, vectors, k, rows)


def compared(
    query: Query,
    items: ItemVectors,
    vectors: NDArray[np.float32],
    k: int,
    rows: NDArray[np.int64],
) -> list[Hits]:
    """The best `k` of these rows of the query's snapshot for each of `vectors`, exactly.

    Rows without a vector are no hits; equal products come in the order of the videos' hashes.
    """
    hashes = query.snapshot.facts["hash"][rows]
    order = np.argsort(hashes)  # as the vectors lie: in another order reading takes twice the time
    rows, hashes = rows[order], hashes[order]
    products = np.empty((len(vectors), len(rows)), dtype=np.float32)
    for start in range(0, len(rows), STEP):
        step = slice(start, start + STEP)
        some, known = items.at(hashes[step])
        products[:, step] = np.where(known, vectors @ some.T, -np.inf)
    return [_best(query, rows, line, k) for line in products]


def _best(query: Query, rows: NDArray[np.int64], products: NDArray[np.float32], k: int) -> Hits:
    near = np.flatnonzero(products > -np.inf)
    if len(near) > k:
        least = np.partition(products, len(products) - k)[len(products) - k]
        near = np.flatnonzero((products >= least) & (products > -np.inf))
    order = near[np.argsort(-products[near], kind="stable")][:k]
    ids = query.snapshot.ids
    return Hits(tuple(ids[row] for row in rows[order].tolist()), products[order])
