"""One pool of connections to Redis, behind a breaker, and its errors in our words."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from core.access import PLAIN, Access, access
from core.errors import Unavailable
from core.settings import Settings, given
from core.tls import causes, trouble
from core.tracing import OPERATION
from storage.breaker import Breaker
from storage.redis.reaching import options_of

CONNECTIONS = 64
CLUSTERS: Final = ("redis+cluster://", "rediss+cluster://")
_SYSTEM: Final = {"db.system.name": "redis"}
_PIPELINE: Final = {**_SYSTEM, OPERATION: "PIPELINE"}


Command = Sequence[Any]
"""A command as the driver takes it: its name, then its arguments."""


class GuardedRedis(Redis):
    """A client whose commands and pipelines pass a breaker; subscriptions do not.

    Without an answer they raise `Unavailable`; what the server refuses stays a `RedisError`.
    """

    one_server: ClassVar[bool] = True
    """Whether a script may reach every key."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as the driver's
        super().__init__(*args, **kwargs)
        self.breaker = Breaker("redis", lambda: ping(self))
        # Of a call as a whole: the driver's own waits are for each connection and each read.
        self.longest_seconds: float | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        """As the driver's. Raises `Unavailable`."""
        command = str(args[0]).upper()
        with (
            self.breaker.calling(command, **_SYSTEM, **{OPERATION: command}),
            _unanswered(),
            _cancellable(),
        ):
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

    async def together(self, commands: Sequence[Command]) -> list[Any]:
        """Each command's answer or error, in one round trip; never raises.

        Who got no answer gets `Unavailable`; it may have been done all the same.
        """
        pipe: Any = self.pipeline(transaction=False)  # typed as if its commands were awaited
        for command in commands:
            pipe.execute_command(*command)
        try:
            answers: list[Any] = await pipe.execute(raise_on_error=False)
        except Unavailable as error:
            return [error] * len(commands)
        return answers

    async def at(self, key: str) -> "GuardedRedis":  # noqa: ARG002 - of a cluster
        """The server that has this key: all that it does with it is in order."""
        return self

    async def look(self) -> None:
        """Ask for a sign of life, whatever the breaker says. Raises `Unavailable`."""
        with mapped(), _cancellable():
            await super().execute_command("PING")  # type: ignore[no-untyped-call]

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - the driver's
        """As the driver's; the breaker, if it is open, asks no more."""
        await self.breaker.close()
        await super().aclose(close_connection_pool)


class _GuardedPipeline(Pipeline):
    breaker: Breaker
    longest_seconds: float | None

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - the driver's
        size = {"db.operation.batch.size": len(self)}
        with self.breaker.calling("PIPELINE", **_PIPELINE, **size), _unanswered(), _cancellable():
            async with asyncio.timeout(self.longest_seconds):
                return await super().execute(raise_on_error)


@contextmanager
def _unanswered() -> Iterator[None]:
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        raise _away(error) from error


def _away(error: Exception) -> Unavailable:
    said = trouble(error)
    if any(isinstance(each, AuthenticationError) for each in causes(error)):
        return Unavailable("redis", "Redis refused the login: check the user and the password")
    return Unavailable("redis", f"Redis over TLS: {said}" if said else "")


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


def client_of(settings: Settings, timeout_seconds: float) -> GuardedRedis:
    """As `connect`, to the Redis of these settings and as they say.

    Raises:
        SetupError: there is no URL, it is not one of Redis, or a file cannot be used.
    """
    return connect(given(settings, "redis_url"), timeout_seconds, access(settings, "redis"))


def connect(url: str, timeout_seconds: float, how: Access = PLAIN) -> GuardedRedis:
    """A client for `redis://`, `rediss://`, `unix://` or a cluster; connects when first used.

    A connection found broken is tried once more on a fresh one; a wait past `timeout_seconds`
    is not, since the caller can do without. After a few failures in a row nothing waits: see
    `Breaker`. Close it with `aclose`.

    Raises:
        SetupError: the URL is not one of Redis.
    """
    if url.startswith(CLUSTERS):
        from storage.redis.cluster import ClusterRedis, addresses  # noqa: PLC0415 - it imports us

        return ClusterRedis(addresses(url), lambda node: connect(node, timeout_seconds, how))
    by_default: dict[str, Any] = {
        "max_connections": CONNECTIONS,
        "timeout": timeout_seconds,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    }
    pool = BlockingConnectionPool(**by_default | options_of(url, how))
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
        raise _away(error) from error


async def ping(client: GuardedRedis) -> None:
    """Ask for a sign of life, whatever the breaker says. Raises `Unavailable`."""
    await client.look()
