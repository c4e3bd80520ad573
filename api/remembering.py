"""What is like a video, searched for once a minute however many watched it last."""

import math
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from core.types import Hits, VideoId
from retrieval.ports import VectorSearch

KEPT_SECONDS = 60.0
MOST_KEPT = 8_192  # vectors, some 2 kB each
MOST_KEPT_OF_A_MOMENT = 50_000
STEP = 64  # hits; those who want about as many share what is remembered

Key = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The best `k` of a vector, until a time; ids as one text, a fraction of so many strings."""

    k: int
    until: float
    ids: str
    scores: NDArray[np.float32]

    def hits(self, k: int) -> Hits:
        ids = self.ids.split("\n")[:k] if self.ids else []
        return Hits(tuple(map(VideoId, ids)), self.scores[:k])


class Remembering:
    """`retrieval.ports.VectorSearch` that remembers the hits of text vectors for a while.

    Lists ask what is like the videos that their users watched last, which are the same few
    thousand for most; what is near a user is nobody else's, and always asked. What a stand-in
    answered is not remembered.
    """

    def __init__(
        self,
        search: VectorSearch,
        *,
        generation: Callable[[], Hashable] = lambda: None,
        most_kept: int = MOST_KEPT,
        kept_seconds: float = KEPT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a search.

        Args:
            search: what is asked; its answer to a vector may not depend on those beside it.
            generation: another one means that there are new videos: all is forgotten.
            most_kept: of how many vectors, the last ones.
            kept_seconds: for how long.
            clock: seconds, never going back.
        """
        self._search = search
        self._generation = generation
        self._most_kept = most_kept
        self._kept_seconds = kept_seconds
        self._clock = clock
        self._kept: dict[Key, _Kept] = {}
        self._kept_of = generation()

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        """See `retrieval.ports.VectorSearch.search`."""
        if not collection.startswith("content_"):
            return await self._search.search(collection, vectors, k)
        self._renew()
        keys = [(collection, _digest(row)) for row in vectors]
        found = {key: kept.hits(k) for key in keys if (kept := self._known(key, k)) is not None}
        rows = {key: at for at, key in enumerate(keys) if key not in found}
        if rows:
            wanted, asked_of = -(-k // STEP) * STEP, self._kept_of
            answers = await self._search.search(collection, vectors[list(rows.values())], wanted)
            if asked_of == self._kept_of:  # else others have begun anew meanwhile
                self._keep(list(rows), wanted, answers)
            found |= {key: _first(hits, k) for key, hits in zip(rows, answers, strict=True)}
        return [found[key] for key in keys]

    def _renew(self) -> None:
        if (now := self._generation()) != self._kept_of:
            self._kept_of, self._kept = now, {}

    def _known(self, key: Key, k: int) -> _Kept | None:
        kept = self._kept.get(key)
        return kept if kept is not None and k <= kept.k and self._clock() < kept.until else None

    def _keep(self, keys: Sequence[Key], k: int, answers: Sequence[Hits]) -> None:
        until = self._clock() + self._kept_seconds
        for key, hits in zip(keys, answers, strict=True):
            # Another answer, with more of them, may have come first.
            if hits.without is None and self._known(key, k) is None:
                self._kept.pop(key, None)  # so that it is the last one now
                self._kept[key] = _Kept(k, until, "\n".join(hits.ids), hits.scores)
        while len(self._kept) > self._most_kept:
            del self._kept[next(iter(self._kept))]


def of_a_moment(search: VectorSearch, *, most_kept: int = MOST_KEPT_OF_A_MOMENT) -> Remembering:
    """Remembers for as long as it lives: for many lists of one moment, in which nothing changes."""
    return Remembering(search, most_kept=most_kept, kept_seconds=math.inf)


def _digest(row: NDArray[np.float32]) -> bytes:
    return blake2b(row.tobytes(), digest_size=16).digest()


def _first(hits: Hits, k: int) -> Hits:
    return Hits(hits.ids[:k], hits.scores[:k], hits.without)
