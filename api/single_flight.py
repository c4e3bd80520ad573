"""One computation for all who ask for the same thing at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Computations under way in this process, by key. Nothing is kept once one has ended."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, asyncio.Task[T]] = {}

    async def do(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `make`, shared with all who wait for the same key.

        One who gives up waiting does not end it for the others; what it raises, all get.
        """
        return await asyncio.shield(self.start(key, make))

    def start(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The computation of that key, begun now unless it is under way."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(make())
            flight.add_done_callback(lambda landed: self._land(key, landed))
        return flight

    def _land(self, key: Hashable, landed: asyncio.Task[T]) -> None:
        del self._flights[key]
        if not landed.cancelled():
            landed.exception()  # looked at here, in case nobody is left waiting for it
