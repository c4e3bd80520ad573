"""The servers that events need, with a history in them, and workers that consume."""

import asyncio
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.filled import fill
from core.errors import SetupError
from core.settings import Settings, child_environment, load
from storage import bus
from storage.embedded.stack import EmbeddedStack
from storage.postgres import migrate
from storage.postgres.engine import pool

STOP_SECONDS = 10
NOWHERE = "http://127.0.0.1:1"


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What the tables hold before."""

    rows: int
    users: int
    videos: int


@contextmanager
def filled_stores(history: History, home: Path | None) -> Iterator[Settings]:
    """PostgreSQL with that history, Redis and NATS; in a `home` that is named they are kept."""
    with tempfile.TemporaryDirectory(prefix="upnext-") as temporary:
        folder = home or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with EmbeddedStack(folder, ("postgres", "redis", "bus")) as stack:
            found = stack.endpoints
            settings = load(
                {
                    "home": str(folder),
                    "postgres_url": found.postgres_url or "",
                    "redis_url": found.redis_url or "",
                    "bus_url": found.bus_url or "",
                    "milvus_uri": NOWHERE,
                    "artifacts_url": folder.absolute().as_uri(),
                    "jwt_secret": secrets.token_hex(),
                    "log_level": "warning",
                }
            )
            _fill_once(settings, history, folder / "filled.json")
            asyncio.run(bus.setup(settings))
            yield settings


def _fill_once(settings: Settings, history: History, made: Path) -> None:
    if made.exists():
        if msgspec.json.decode(made.read_bytes(), type=History) != history:
            raise SetupError(f"{made.parent} holds another history: name another, or delete it.")
        return
    began = time.monotonic()
    print(f"Filling {history} ...", file=sys.stderr)
    migrate.upgrade(settings)
    asyncio.run(_fill(settings, history))
    made.write_bytes(msgspec.json.encode(history))
    print(f"Filled in {time.monotonic() - began:.0f} s", file=sys.stderr)


async def _fill(settings: Settings, history: History) -> None:
    async with pool(settings, patient=True) as engine:
        await fill(engine, rows=history.rows, users=history.users, videos=history.videos)


@contextmanager
def working(settings: Settings, count: int) -> Iterator[None]:
    """So many `upnext worker` processes that consume events, until the block ends."""
    command = [sys.executable, "-m", "upnext", "worker", "--queues", "events"]
    environment = child_environment(settings)
    workers = [
        subprocess.Popen(command, stdout=sys.stderr, env=environment)  # noqa: S603 - our own
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            worker.wait(STOP_SECONDS)
