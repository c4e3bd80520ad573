"""The servers that events need, with a history in them, and events on the bus."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import msgspec

from bench.filled import fill
from bench.made_up_events import SUBJECT
from core.errors import SetupError
from core.settings import Settings, load
from storage import bus
from storage.bus.nats_link import Link
from storage.embedded.stack import EmbeddedStack
from storage.postgres import migrate
from storage.postgres.engine import pool

BURST = 1000
STORED_SECONDS = 60


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
                    "log_level": "warning",
                }
            )
            _fill_once(settings, history, folder / "filled.json")
            asyncio.run(bus.setup(settings.bus_url or ""))
            yield settings


def _fill_once(settings: Settings, history: History, made: Path) -> None:
    if made.exists():
        if msgspec.json.decode(made.read_bytes(), type=History) != history:
            raise SetupError(f"{made.parent} holds another history: name another, or delete it.")
        return
    began = time.monotonic()
    print(f"Filling {history} ...", file=sys.stderr)
    migrate.upgrade(settings.postgres_url or "")
    asyncio.run(_fill(settings, history))
    made.write_bytes(msgspec.json.encode(history))
    print(f"Filled in {time.monotonic() - began:.0f} s", file=sys.stderr)


async def _fill(settings: Settings, history: History) -> None:
    async with pool(settings, patient=True) as engine:
        await fill(engine, rows=history.rows, users=history.users, videos=history.videos)


async def publish(settings: Settings, payloads: Sequence[bytes]) -> None:
    """Put events on the bus as fast as it takes them, and see that it has them all.

    Raises:
        SetupError: some did not arrive.
    """
    async with AsyncExitStack() as open_:
        source, link = bus.events(settings.bus_url or ""), Link(settings.bus_url or "")
        open_.push_async_callback(source.close)
        open_.push_async_callback(link.close)
        client = await open_.enter_async_context(link.connected())
        wanted = await source.waiting() + len(payloads)
        for start in range(0, len(payloads), BURST):
            for payload in payloads[start : start + BURST]:
                await client.publish(SUBJECT, payload)
            await client.flush()
        deadline = time.monotonic() + STORED_SECONDS
        while await source.waiting() < wanted:
            if time.monotonic() > deadline:
                raise SetupError("The bus did not keep all events: is its disk full?")
            await asyncio.sleep(0.1)
