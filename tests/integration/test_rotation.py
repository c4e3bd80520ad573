"""Secrets that change while the service runs: nobody notices."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import Unavailable
from core.settings import Settings
from storage.postgres.engine import pool, reading
from storage.queue import Queue
from storage.redis.client import client_of, ping
from tests.catalogues import video
from tests.certificates import Authority, mounted
from tests.eventful import until
from tests.served import Served, of_popular_lists, write_videos
from tests.terminator import Terminator
from upnext.tokens import make_token

pytestmark = pytest.mark.integration

OLD, NEW = "the old secret of this test, " * 2, "the new secret of this test, " * 2
ONE, TWO = "hush-one", "hush-two"
FILES = {"jwt_secret_file": OLD, "postgres_password_file": ONE, "redis_password_file": ONE}
_BACKENDS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE usename = :user AND application_name = :of"
)
_END = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :user")


class World:
    """Servers that ask for a password, over TLS, and the files of secrets."""

    def __init__(self, folder: Path, admin: AsyncEngine, redis: Redis) -> None:
        self.user = f"rotating_{uuid4().hex[:8]}"
        self.folder = folder
        self._admin = admin
        self._redis = redis

    def write(self, setting: str, content: str) -> Path:
        """As a cluster does; the file's place."""
        aside = self.folder / "content"
        aside.write_text(f"{content}\n")
        return mounted(self.folder / setting, aside, "secret")

    async def begin(self) -> None:
        """Make the user of both servers."""
        await self._run(f"CREATE ROLE {self.user} SUPERUSER LOGIN PASSWORD '{ONE}'")
        # It matches this user alone, so nobody else is asked otherwise than before.
        hba = Path(str(await self._run("SHOW hba_file")))
        await asyncio.to_thread(_append, hba, f"local all {self.user} scram-sha-256\n")
        await self._run("SELECT pg_reload_conf()")
        await self._redis.acl_setuser(
            self.user,
            enabled=True,
            passwords=[f"+{ONE}"],
            keys=["*"],
            channels=["*"],
            commands=["+@all"],
        )

    async def rotate(self) -> None:
        """Both servers take the new password alone, and every connection has to be made anew."""
        for setting in ("postgres_password_file", "redis_password_file"):
            self.write(setting, TWO)
        await self._run(f"ALTER ROLE {self.user} PASSWORD '{TWO}'")
        await self._redis.acl_setuser(self.user, enabled=True, passwords=[f"-{ONE}", f"+{TWO}"])
        async with reading(self._admin) as connection:
            await connection.execute(_END, {"user": self.user})
        await self._redis.client_kill_filter(user=self.user)

    async def end(self) -> None:
        """Nothing of it stays on servers that others use."""
        async with reading(self._admin) as connection:
            await connection.execute(_END, {"user": self.user})
        await self._run(f"DROP ROLE {self.user}")
        await self._redis.acl_deluser(self.user)

    async def backends(self, of: str) -> int:
        """Connections to PostgreSQL of that name."""
        async with reading(self._admin) as connection:
            found = await connection.execute(_BACKENDS, {"user": self.user, "of": of})
            return int(found.scalar_one())

    async def _run(self, statement: str) -> Any:
        async with reading(self._admin) as connection:
            result = await connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line)


@pytest.fixture
async def world(tmp_path: Path, engine: AsyncEngine, redis_url: str) -> AsyncIterator[World]:
    async with Redis.from_url(redis_url) as redis:
        made = World(tmp_path, engine, redis)
        await made.begin()
        yield made
        await made.end()


@pytest.fixture
def settings(world: World, tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Settings]:
    authority = Authority(tmp_path / "tls")
    parts = make_url(database_url)
    socket = Path(str(parts.query["host"])) / ".s.PGSQL.5432"
    with (
        Terminator(socket, authority.issue(), postgres=True) as postgres,
        Terminator(Path(redis_url.removeprefix("unix://")), authority.issue()) as redis,
    ):
        at = f"{world.user}@127.0.0.1"
        plain = of_popular_lists(
            f"postgresql://{at}:{postgres.port}/{parts.database}",
            f"rediss://{at}:{redis.port}/0",
            tmp_path,
        )
        files = {name: world.write(name, content) for name, content in FILES.items()}
        more = {"ca_file": authority.ca, "jwt_secret": None, "workers": 1}
        yield plain.model_copy(update={**files, **more})


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[None]:
    """The side of the queue that a worker runs, whose driver is another."""
    task = asyncio.create_task(Queue(settings, {}).work())
    yield
    task.cancel()
    await asyncio.wait([task])


def token_of(settings: Settings) -> str:
    return make_token(settings, "ops", ("service",), timedelta(hours=1))


async def test_nobody_notices(settings: Settings, world: World) -> None:
    await asyncio.to_thread(
        write_videos, settings, [video(f"v{number}", "drama") for number in range(20)]
    )
    server = Served(settings)
    await asyncio.to_thread(server.__enter__)
    try:
        async with (
            working(settings),
            httpx.AsyncClient(base_url=server.address, timeout=20) as client,
        ):
            await until(lambda: world.backends("upnext queue"))
            old = token_of(settings)
            await _passwords(client, settings, world, old)
            await _tokens(client, settings, world, old)
    finally:
        await asyncio.to_thread(server.stop)


async def _passwords(
    client: httpx.AsyncClient, settings: Settings, world: World, token: str
) -> None:
    asking = asyncio.create_task(_ask_on(client, token))
    assert await world.backends("upnext") > 0
    await world.rotate()
    await until(lambda: world.backends("upnext queue"))
    await until(lambda: world.backends("upnext"))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):  # and no failure before
        await asking
    answer = await client.get("/recs/after-rotation", headers=_bearer(token))
    assert answer.json()["metadata"]["degraded"] == [], answer.text
    await _old_ones_are_refused(settings, world)


async def _ask_on(client: httpx.AsyncClient, token: str) -> None:
    """Lists of one user after the other."""
    number = 0
    while True:
        answer = await client.get(f"/recs/rotating-{number}", headers=_bearer(token))
        assert answer.status_code == 200, answer.text
        number += 1


async def _old_ones_are_refused(settings: Settings, world: World) -> None:
    stale = {name: world.write(f"stale {name}", ONE) for name in FILES if "password" in name}
    late = settings.model_copy(update=stale)
    async with pool(late) as engine:
        with pytest.raises(Unavailable, match="refused the login"):
            await _ping_postgres(engine)
    client = client_of(late, late.redis_timeout_seconds)
    with pytest.raises(Unavailable, match="refused the login"):
        await ping(client)
    await client.aclose()


async def _ping_postgres(engine: AsyncEngine) -> None:
    async with reading(engine) as connection:
        await connection.execute(text("SELECT 1"))


async def _tokens(client: httpx.AsyncClient, settings: Settings, world: World, old: str) -> None:
    world.write("jwt_secret_file", f"{NEW}\n{OLD}")
    new = token_of(settings)

    async def status(token: str) -> int:
        return (await client.get("/recs/rotating-0", headers=_bearer(token))).status_code

    async def becomes(token: str, wanted: int) -> None:
        async def it_is() -> bool:
            return await status(token) == wanted

        await until(it_is)

    await becomes(new, 200)
    assert await status(old) == 200
    world.write("jwt_secret_file", NEW)
    await becomes(old, 401)
    assert await status(new) == 200


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
