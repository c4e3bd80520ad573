"""Searches the index; while that does not answer, exact search stands in for it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import structlog
from numpy.typing import NDArray

from core.errors import Unavailable
from core.types import Hits
from retrieval.ports import VectorSearch

INDEX = "milvus"
PAUSE_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class StandIn:
    """`retrieval.ports.VectorSearch` over two: what the second brings says so in `Hits.without`.

    Once the index has failed it is asked by one search every `pause_seconds`; the others turn to
    the stand-in at once. When it answers that one, it is asked by all again.
    """

    def __init__(
        self,
        index: VectorSearch,
        stand_in: VectorSearch,
        *,
        patience_seconds: float,
        pause_seconds: float = PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a search that is never late because of `index`.

        Args:
            index: what is asked first.
            stand_in: what is asked when that fails.
            patience_seconds: the longest wait for `index`; less than a request's deadline, for the
                stand-in comes after it.
            pause_seconds: how long a failed index is left alone.
            clock: seconds, never going back.
        """
        self._index = index
        self._stand_in = stand_in
        self._patience_seconds = patience_seconds
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._reason: str | None = None  # why it is away
        self._ask_again_at = 0.0

    async def search(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        """See `retrieval.ports.VectorSearch.search`.

        Raises:
            Unavailable: the index did not answer, and the stand-in cannot; the message has both.
        """
        if not self._may_ask():
            return await self._without(collection, vectors, k)
        try:
            async with asyncio.timeout(self._patience_seconds):
                found = await self._index.search(collection, vectors, k)
        except TimeoutError:
            self._failed(f"no answer within {self._patience_seconds:g} s")
        except Unavailable as error:
            self._failed(str(error))
        else:
            self._answered()
            return found
        return await self._without(collection, vectors, k)

    def _may_ask(self) -> bool:
        """Whether this search asks the index: all do, but one a pause while it is away."""
        if self._reason is None:
            return True
        if self._clock() < self._ask_again_at:
            return False
        self._pause()
        return True

    async def _without(self, collection: str, vectors: NDArray[np.float32], k: int) -> list[Hits]:
        try:
            found = await self._stand_in.search(collection, vectors, k)
        except Unavailable as error:
            raise Unavailable(INDEX, f"{INDEX}: {self._reason}; {error}") from error
        return [replace(hits, without=INDEX) for hits in found]

    def _pause(self) -> None:
        self._ask_again_at = self._clock() + self._pause_seconds

    def _failed(self, reason: str) -> None:
        if self._reason is None:
            _log.warning("The index is away; exact search stands in.", dependency=INDEX, why=reason)
        self._reason = reason
        self._pause()

    def _answered(self) -> None:
        if self._reason is not None:
            _log.info("The index answers again.", dependency=INDEX)
        self._reason = None
