"""One pool of connections to Redis, and its errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from core.errors import SetupError, Unavailable

CONNECTIONS = 64


def connect(url: str, timeout_seconds: float) -> Redis:
    """A client for `redis://`, `rediss://` or `unix://`; connects when first used.

    A connection found broken is tried once more on a fresh one; a wait past `timeout_seconds`
    is not, since the caller can do without. Close it with `aclose`.

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
    return Redis.from_pool(pool)


@contextmanager
def mapped() -> Iterator[None]:
    """Turn what the driver raises into `Unavailable("redis")`."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise Unavailable("redis") from error


async def ping(client: Redis) -> None:
    """Ask for a sign of life. Raises `Unavailable`."""
    with mapped():
        await client.ping()
