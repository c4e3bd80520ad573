"""What a consumer needs, in memory, and processes that die at every place there is."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from core.errors import Unavailable
from core.types import Interaction, UserId, UserState
from ingest.consumer import Consumer
from ingest.dropping import Dropping
from ingest.handling import Handler
from ingest.weights import PLAIN
from storage.memory.bus import MemoryBus
from storage.memory.dead_letters import MemoryDeadLetters, MemoryOwedDrops
from storage.memory.history import MemoryHistory
from storage.memory.users import MemoryUserCache
from tests.eventful import Sent

FIELD = "m/1/personalized"
U1, U2 = UserId("u1"), UserId("u2")


class Killed(BaseException):
    """The process is gone."""


class Points:
    """Places where a process can end; it ends at the one that is wanted, before or after it."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.passed = 0

    async def around(self, call: Awaitable[Any]) -> Any:
        self._pass(call)
        result = await call
        self._pass()
        return result

    def _pass(self, call: Awaitable[Any] | None = None) -> None:
        self.passed += 1
        if self.passed == self.at:
            if asyncio.iscoroutine(call):
                call.close()
            raise Killed


class Mortal:
    """Any store; each of its calls is a place to die at."""

    def __init__(self, inner: object, points: Points) -> None:
        self._inner = inner
        self._points = points

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        return lambda *args: self._points.around(method(*args))


class AwayCache(MemoryUserCache):
    """Away at will."""

    away = False

    async def forget_many(self, revisions: Mapping[UserId, int]) -> None:
        if self.away:
            raise Unavailable("redis")
        await super().forget_many(revisions)


class World:
    """All that a consumer needs, in memory.

    Time goes on by a `tick` whenever somebody asks, and by the part `awake` of every pause.
    """

    def __init__(self) -> None:
        self.bus = MemoryBus(seconds=self.seconds)
        self.now, self.tick, self.awake = 0.0, 0.0, 1.0
        self.history = MemoryHistory()
        self.cache = AwayCache()
        self.letters = MemoryDeadLetters()
        self.owed = MemoryOwedDrops()
        self.points = Points()
        self.pauses: list[float] = []

    def seconds(self) -> float:
        """The time of the bus."""
        self.now += self.tick
        return self.now

    def handler(self, interactions: object = None) -> Handler:
        return Handler(
            Mortal(interactions or self.history, self.points),
            Mortal(self.letters, self.points),
            self.dropping(),
            weights=lambda: PLAIN,
        )

    def dropping(self) -> Dropping:
        return Dropping(Mortal(self.cache, self.points), Mortal(self.owed, self.points))

    def consumer(self, interactions: object = None, most: int = 100) -> Consumer:
        source = Mortal(self.bus.events(), self.points)
        return Consumer(source, self.handler(interactions), most, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds * self.awake
        await asyncio.sleep(0)

    async def publish(self, *sent: Sent) -> None:
        await self.bus.setup()
        for number, one in enumerate(sent):
            name = f"{len(self.bus.kept)}-{number}"
            await self.bus.publish(one.subject, name, one.payload)

    async def keep_list(self, user: UserId) -> int:
        """As a request would, from the user's state now."""
        state = await self.history.state(user, 10) or UserState(user, 0, (), None)  # type: ignore[arg-type]
        await self.cache.put_list(user, FIELD, state.revision, b"%d" % state.revision, 3600)
        return state.revision

    async def is_stale(self, user: UserId) -> bool:
        state = await self.history.state(user, 10)
        kept = await self.cache.get_list(user, FIELD)
        return state is not None and kept is not None and int(kept) < state.revision

    async def rows(self) -> list[Interaction]:
        return [row async for page in self.history.stream() for row in page]
