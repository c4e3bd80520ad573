"""One pool of connections to Redis, behind a breaker, and its errors in our words."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from core.errors import SetupError, Unavailable
from storage.breaker import Breaker

CONNECTIONS = 64


class GuardedRedis(Redis):
    """A client whose commands and pipelines pass a breaker; subscriptions do not.

    Without an answer they raise `Unavailable`; what the server refuses stays a `RedisError`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as the driver's
        super().__init__(*args, **kwargs)
        self.breaker = Breaker("redis", lambda: ping(self))
        # Of a call as a whole: the driver's own waits are for each connection and each read.
        self.longest_seconds: float | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        """As the driver's. Raises `Unavailable`."""
        with self.breaker.calling(), _unanswered(), _cancellable():
            async with asyncio.timeout(self.longest_seconds):
                return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002 - the driver's
        """As the driver's."""
        pipe = _GuardedPipeline(
            self.connection_pool, self.response_callbacks, transaction, shard_hint
        )
        pipe.breaker = self.breaker
        pipe.longest_seconds = self.longest_seconds
        return pipe

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - the driver's
        """As the driver's; the breaker, if it is open, asks no more."""
        await self.breaker.close()
        await super().aclose(close_connection_pool)


class _GuardedPipeline(Pipeline):
    breaker: Breaker
    longest_seconds: float | None

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - the driver's
        with self.breaker.calling(), _unanswered(), _cancellable():
            async with asyncio.timeout(self.longest_seconds):
                return await super().execute(raise_on_error)


@contextmanager
def _unanswered() -> Iterator[None]:
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        raise Unavailable("redis") from error


@contextmanager
def _cancellable() -> Iterator[None]:
    """Cancel the task after the call if it was asked to be during it, whatever the call did.

    The driver sends by `asyncio.wait_for`, which before Python 3.12 keeps a cancellation to itself
    when the sending has ended meanwhile (python/cpython#86296): a loop of calls went on for ever.
    """
    task = asyncio.current_task()
    asked = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > asked:
            raise asyncio.CancelledError


def connect(url: str, timeout_seconds: float) -> GuardedRedis:
    """A client for `redis://`, `rediss://` or `unix://`; connects when first used.

    A connection found broken is tried once more on a fresh one; a wait past `timeout_seconds`
    is not, since the caller can do without. After a few failures in a row nothing waits: see
    `Breaker`. Close it with `aclose`.

    Raises:
        SetupError: the URL is not one of Redis.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
    except ValueError as error:
        raise SetupError(
            "UPNEXT_REDIS_URL cannot be used: it starts with redis://, rediss:// or unix://."
        ) from error
    client = GuardedRedis(connection_pool=pool)
    client.longest_seconds = timeout_seconds
    client.auto_close_connection_pool = True
    return client


@contextmanager
def mapped() -> Iterator[None]:
    """Turn what the driver raises into `Unavailable("redis")`."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise Unavailable("redis") from error


async def ping(client: Redis) -> None:
    """Ask for a sign of life, whatever the breaker says. Raises `Unavailable`."""
    with mapped(), _cancellable():
        await Redis.execute_command(client, "PING")  # type: ignore[no-untyped-call]
