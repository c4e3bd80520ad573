"""The service to measure: the one that runs in a home, else one started for the time being."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from core.errors import SetupError
from core.settings import Settings, child_environment
from core.types import UserId
from storage.postgres.engine import pool
from storage.postgres.users import PostgresUsers
from storage.redis.client import connect as connect_redis
from storage.redis.users import RedisUserCache
from upnext.home import Home, complete

START_SECONDS = 600
STOP_SECONDS = 15
PAGE = 500


@contextmanager
def running(settings: Settings) -> Iterator[tuple[str, Settings]]:
    """Address of the service of the home, and settings with its endpoints."""
    home = Home(settings.home)
    if (found := _found(settings, home)) is not None:
        yield found
        return
    print(f"Starting a service in {home.path} ...", file=sys.stderr)
    command = [str(Path(sys.executable).with_name("upnext")), "up"]
    service = subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=sys.stderr, env=child_environment(settings)
    )
    try:
        yield _awaited(settings, home, service)
    finally:
        service.send_signal(signal.SIGINT)
        service.wait(STOP_SECONDS)


def _found(settings: Settings, home: Home) -> tuple[str, Settings] | None:
    stack = home.live()
    if stack is None or stack.address is None or stack.endpoints is None:
        return None
    return stack.address, complete(settings, home, stack.endpoints)


def _awaited(
    settings: Settings, home: Home, service: subprocess.Popen[bytes]
) -> tuple[str, Settings]:
    pause, deadline = Event(), time.monotonic() + START_SECONDS
    while (found := _found(settings, home)) is None:
        if service.poll() is not None or time.monotonic() > deadline:
            raise SetupError("The service did not start: see what it printed above.")
        pause.wait(0.2)
    return found


async def forget(settings: Settings, user_ids: Sequence[str]) -> None:
    """Drop all that is kept of these users: their next lists are made from PostgreSQL."""
    redis = connect_redis(settings.redis_url or "", timeout_seconds=10.0)
    try:
        async with pool(settings, patient=True) as engine:
            users, cache = PostgresUsers(engine), RedisUserCache(redis)
            for start in range(0, len(user_ids), PAGE):
                page = [UserId(user) for user in user_ids[start : start + PAGE]]
                states = await users.states_of(page, 1)
                await cache.forget_many({user: state.revision for user, state in states.items()})
    finally:
        await redis.aclose()
