"""One search for many: what is asked at the same moment goes to the index together."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from core.types import Hits
from embeddings.version import Version
from retrieval.exact import ExactSearch
from retrieval.ports import VectorSearch

STEP = 64  # hits; those who ask for about as many are searched for together
TURN = 8  # answers that are told before others have the event loop for a moment

_Answer = asyncio.Future[Hits]


class PageSearch:
    """`retrieval.ports.VectorSearch` over one that is quicker with many vectors at once.

    Exact search is: the product of two matrices takes a fraction of the time of as many products
    of a matrix and a vector. What was asked before the event loop comes round goes together, so
    whoever makes the lists of many users makes them as tasks. For one event loop.
    """

    def __init__(self, search: VectorSearch) -> None:
        """Make a search; the answer of `search` to a vector may not depend on those beside it."""
        self._search = search
        self._asked: defaultdict[tuple[str, int], dict[bytes, _Answer]] = defaultdict(dict)
        self._running: set[asyncio.Task[None]] = set()

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        """See `retrieval.ports.VectorSearch.search`."""
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        # Shielded: others may wait for the same, whatever becomes of this one.
        waits = [asyncio.shield(self._promise(collection, row.tobytes(), k)) for row in rows]
        found = await asyncio.gather(*waits)
        return [Hits(hits.ids[:k], hits.scores[:k], hits.without) for hits in found]

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
            await _take(answers, found)
        except Exception as error:  # noqa: BLE001 - it is theirs who asked
            _tell(answers.values(), error)


def for_pages(
    version: Version, index: Callable[[], VectorSearch], *, most_bytes: int
) -> VectorSearch:
    """What to search a version with for many: exactly while its vectors fit, else the index."""
    if max(version.items.nbytes, version.content.nbytes) > most_bytes:
        return index()
    return ExactSearch(lambda: [version], most_bytes=most_bytes)


async def _take(answers: dict[bytes, _Answer], found: list[Hits]) -> None:
    """Tell what was found. Raises `ValueError` if it is not one answer for each."""
    for at, (answer, hits) in enumerate(zip(answers.values(), found, strict=True)):
        if at % TURN == TURN - 1:
            await asyncio.sleep(0)  # or all lists of a page would be made in one go
        if not answer.done():
            answer.set_result(hits)


def _tell(answers: Iterable[_Answer], error: Exception) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(error)
