"""News of dropped lists, from whichever process dropped them to all (`api.ports.Notices`).

Redis publishes them in the order of a counter that rises with each. A follower asks for the
counter's value twice or more a second and sends it through its own subscription: the echo comes
behind all news up to that value, so a follower that lacks some of them by then has missed them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

import msgspec
import structlog
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.errors import Unavailable
from core.notices import Hearer
from core.types import UserId
from storage.redis.client import GuardedRedis

CHANNEL = "upnext:notices"
COUNTER = "upnext:notices:count"
SILENCE_SECONDS = 1.0
BEAT_SECONDS = 0.25
PAUSE_SECONDS = 0.1

# For scripts that drop lists, so that the news go out with the drop: ARGV[1] has the users, packed.
PUBLISH = f"""
local number = redis.call('INCR', '{COUNTER}')
redis.call('PUBLISH', '{CHANNEL}', number .. ' ' .. ARGV[1])
"""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[UserId])
log = structlog.get_logger(__name__)


def packed_users(user_ids: Collection[UserId]) -> bytes:
    """Users as `PUBLISH` sends them and a script unpacks them."""
    return _encoder.encode(list(user_ids))


class RedisNotices:
    """Follows the news of one Redis; use one subscription a process."""

    def __init__(self, client: GuardedRedis, *, silence_seconds: float = SILENCE_SECONDS) -> None:
        self._client = client
        self._silence = silence_seconds
        self._follows = False

    async def run(self, hearer: Hearer) -> None:
        """Tell the hearer until cancelled, whatever happens to the connection.

        It loses what it follows once; attempts to follow again lose nothing more.
        """
        while True:
            try:
                await self._follow(hearer)
            except (RedisError, Unavailable, OSError, TimeoutError) as error:
                log.debug("notices_lost", reason=repr(error))
            except Exception:
                log.exception("notices_lost")
            if self._follows:
                hearer.lose("silence")
                self._follows = False
            await asyncio.sleep(PAUSE_SECONDS)

    async def _follow(self, hearer: Hearer) -> None:
        """Tell the hearer; ends by an exception when nothing came for `silence_seconds`."""
        # One that counts and publishes: only there are news and the echo in order.
        server = await self._client.at(COUNTER)
        async with server.pubsub() as subscription:
            await subscription.subscribe(CHANNEL)
            # It must end, not go on with another connection: what came in between is lost.
            subscription.connection.retry = Retry(NoBackoff(), 0)
            async with asyncio.timeout(self._silence):
                while await subscription.get_message(timeout=self._silence) is None:
                    pass
                last = await self._count(server)
            self._follows = True
            hearer.follow()
            await _Listening(subscription, hearer, last, self._silence).listen(
                partial(self._count, server)
            )

    async def _count(self, server: GuardedRedis) -> int:
        return int(await server.get(COUNTER) or 0)


class _Listening:
    """One subscription from its beginning to its end. `last` is the number heard last."""

    def __init__(
        self, subscription: PubSub, hearer: Hearer, last: int, silence_seconds: float
    ) -> None:
        self._subscription = subscription
        self._hearer = hearer
        self._last = last
        self._silence = silence_seconds
        self._echoed = monotonic()
        self._began = False  # until the first echo, news may come that `last` counts already

    async def listen(self, count: Callable[[], Awaitable[int]]) -> None:
        """Until an echo stays away; then it raises `TimeoutError`."""
        beat = 0.0
        while True:
            if monotonic() >= beat:
                await self._beat(count)
                beat = monotonic() + BEAT_SECONDS
            wait = max(0.0, beat - monotonic())
            message = await self._subscription.get_message(timeout=wait)
            if message is not None:
                self._take(message)
            # Only when nothing waits to be read: a busy process may be late, and miss nothing.
            elif monotonic() >= self._echoed + self._silence:
                raise TimeoutError

    async def _beat(self, count: Callable[[], Awaitable[int]]) -> None:
        """Send the count through the subscription; a question that fails is asked again soon."""
        with suppress(RedisError, OSError, Unavailable):
            await self._subscription.ping(str(await count()))

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "pong":
            self._echoed = monotonic()
            self._began = True
            count = int(message["data"])
            if count > self._last:
                self._gap(count)
        elif message["type"] == "message":
            before, _, users = message["data"].partition(b" ")
            number = int(before)
            self._hearer.drop(_decoder.decode(users))
            if number <= self._last and not self._began:
                return
            if number != self._last + 1:
                self._gap(number)
            self._last = number

    def _gap(self, number: int) -> None:
        self._hearer.lose("gap")
        self._hearer.follow()
        self._last = number
