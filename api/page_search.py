"""One search for many: what is asked at the same moment goes to the index together."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from sys import intern

import numpy as np
from numpy.typing import NDArray

from core.types import Hits, VideoId
from embeddings.version import Version
from retrieval.exact import ExactSearch
from retrieval.ports import VectorSearch

STEP = 64  # hits; those who ask for about as many are searched for together
TURN = 8  # answers that are told before others have the event loop for a moment
MOST_KEPT = 50_000  # vectors whose hits are remembered, some 2 kB each

_Answer = asyncio.Future[Hits]


class PageSearch:
    """`retrieval.ports.VectorSearch` over one that is quicker with many vectors at once.

    Exact search is: the product of two matrices takes a fraction of the time of as many products
    of a matrix and a vector. What was asked before the event loop comes round goes together, so
    whoever makes the lists of many users makes them as tasks. For one event loop.
    """

    def __init__(
        self,
        search: VectorSearch,
        *,
        remember: Callable[[str], bool] = lambda _: False,
        most_kept: int = MOST_KEPT,
    ) -> None:
        """Make a search.

        Args:
            search: what is asked; its answer to a vector may not depend on those beside it.
            remember: says of a collection whether its hits are kept for the next who asks for the
                same: worth it where many do, and right as long as nothing changes in it.
            most_kept: of how many vectors, the last ones.
        """
        self._search = search
        self._remember = remember
        self._most_kept = most_kept
        self._kept: dict[tuple[str, bytes], tuple[int, Hits]] = {}
        self._asked: defaultdict[tuple[str, int], dict[bytes, _Answer]] = defaultdict(dict)
        self._running: set[asyncio.Task[None]] = set()

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        """See `retrieval.ports.VectorSearch.search`."""
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        asked = [row.tobytes() for row in rows]
        known = {row: hits for row in asked if (hits := self._known(collection, row, k))}
        missing = [row for row in asked if row not in known]
        # Shielded: others may wait for the same, whatever becomes of this one.
        waits = [asyncio.shield(self._promise(collection, row, k)) for row in missing]
        told = known | dict(zip(missing, await asyncio.gather(*waits), strict=True))
        found = [told[row] for row in asked]
        return [Hits(hits.ids[:k], hits.scores[:k], hits.without) for hits in found]

    def _known(self, collection: str, vector: bytes, k: int) -> Hits | None:
        """The kept hits of a vector if they are enough; taken now, since they may be let go."""
        kept_k, hits = self._kept.get((collection, vector), (0, None))
        return hits if k <= kept_k else None

    def _promise(self, collection: str, vector: bytes, k: int) -> _Answer:
        """The hits of a vector, once they are there."""
        if not self._asked:
            asyncio.get_running_loop().call_soon(self._ask)
        together = self._asked[collection, -(-k // STEP) * STEP]
        return together.setdefault(vector, asyncio.get_running_loop().create_future())

    def _ask(self) -> None:
        """Ask for all that was asked for since the last time."""
        asked, self._asked = self._asked, defaultdict(dict)
        for (collection, k), answers in asked.items():
            task = asyncio.create_task(self._answer(collection, k, answers))
            self._running.add(task)  # or nothing would hold it
            task.add_done_callback(self._running.discard)

    async def _answer(self, collection: str, k: int, answers: dict[bytes, _Answer]) -> None:
        vectors = np.array([np.frombuffer(vector, dtype=np.float32) for vector in answers])
        try:
            found = await self._search.search(collection, vectors, k)
            await self._take(collection, k, answers, found)
        except Exception as error:  # noqa: BLE001 - it is theirs who asked
            _tell(answers.values(), error)

    async def _take(
        self, collection: str, k: int, answers: dict[bytes, _Answer], found: list[Hits]
    ) -> None:
        """Tell what was found. Raises `ValueError` if it is not one answer for each."""
        for at, ((vector, answer), hits) in enumerate(zip(answers.items(), found, strict=True)):
            if at % TURN == TURN - 1:
                await asyncio.sleep(0)  # or all lists of a page would be made in one go
            if self._remember(collection):
                self._keep((collection, vector), k, hits)
            if not answer.done():
                answer.set_result(hits)

    def _keep(self, asked: tuple[str, bytes], k: int, hits: Hits) -> None:
        if k <= self._kept.get(asked, (0, None))[0]:
            return  # another answer, with more of them, came first
        self._kept[asked] = k, _lean(hits)
        if len(self._kept) > self._most_kept:
            del self._kept[next(iter(self._kept))]  # the oldest


def for_pages(
    version: Version, index: Callable[[], VectorSearch], *, most_bytes: int
) -> VectorSearch:
    """What to search a version with for many: exactly while its vectors fit, else the index."""
    if max(version.items.nbytes, version.content.nbytes) > most_bytes:
        return index()
    return ExactSearch(lambda: [version], most_bytes=most_bytes)


def _tell(answers: Iterable[_Answer], error: Exception) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(error)


def _lean(hits: Hits) -> Hits:
    """The same with ids that all kept hits share: they are most of what is kept."""
    return Hits(tuple(VideoId(intern(id_)) for id_ in hits.ids), hits.scores, hits.without)
