"""The service to measure: the one that runs in a home, else one started for the time being."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event

from core.errors import SetupError
from core.settings import Settings, child_environment
from core.types import UserId
from storage.postgres.engine import pool
from storage.postgres.users import PostgresUsers
from storage.redis.client import connect as connect_redis
from upnext.home import Home, complete
from upnext.tokens import make_token

START_SECONDS = 600
STOP_SECONDS = 15
TOKEN_LIFE = timedelta(hours=2)


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


def users_with_tokens(settings: Settings) -> list[dict[str, str]]:
    """Every user of the service and a token of their own."""
    return [
        {"id": user_id, "token": make_token(settings, user_id, ("user",), TOKEN_LIFE)}
        for user_id in asyncio.run(_users(settings))
    ]


async def _users(settings: Settings) -> list[UserId]:
    async with pool(settings, patient=True) as engine:
        return [user async for page in PostgresUsers(engine).stream() for user in page]


def forget(settings: Settings, user_ids: list[str]) -> None:
    """Drop all that Redis keeps of these users: their next lists are made from PostgreSQL."""
    asyncio.run(_forget(settings, user_ids))


async def _forget(settings: Settings, user_ids: list[str]) -> None:
    client = connect_redis(settings.redis_url or "", timeout_seconds=10.0)
    try:
        for start in range(0, len(user_ids), 1000):
            page = user_ids[start : start + 1000]
            keys = [f"u:{{{user}}}:{part}" for user in page for part in ("state", "lists")]
            await client.unlink(*keys)
    finally:
        await client.aclose()
