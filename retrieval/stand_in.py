"""Searches the index; while that does not answer, exact search stands in for it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.errors import Unavailable
from core.types import Hits
from retrieval.ports import VectorSearch


class StandIn:
    """`retrieval.ports.VectorSearch` over two: what the second brings says so in `Hits.without`.

    The index must say soon that it is away: what it takes for that, the stand-in lacks before the
    request's deadline.
    """

    def __init__(self, index: VectorSearch, stand_in: VectorSearch) -> None:
        self._index = index
        self._stand_in = stand_in

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        """See `retrieval.ports.VectorSearch.search`.

        Raises:
            Unavailable: the index did not answer, and the stand-in cannot; it names the index, and
                the message has both reasons.
        """
        try:
            return await self._index.search(collection, vectors, k)
        except Unavailable as error:
            away = error
        try:
            found = await self._stand_in.search(collection, vectors, k)
        except Unavailable as error:
            raise Unavailable(away.dependency, f"{away}; {error}") from error
        return [replace(hits, without=away.dependency) for hits in found]
