"""A server that is away, stopped, or not what it should be: our errors, in time."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import InvalidInput, SetupError, Unavailable
from core.settings import load
from core.types import UserId, Video, VideoId
from storage.breaker import Breaker
from storage.postgres.engine import connect, driver_url, guarded, transaction
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.ping import ping
from storage.postgres.users import PostgresUsers
from storage.postgres.videos import PostgresVideos
from tests.histories import watch

pytestmark = pytest.mark.integration

NOBODY = UserId("nobody")
# Of what is set a busy machine makes more, but not as much as it is by default.
TIMEOUT_SECONDS, BOUND_SECONDS = 1, 4.5
HURRIED_SECONDS = 0.5
TIMEOUT = {"postgres_timeout_seconds": str(TIMEOUT_SECONDS)}


async def test_a_statement_that_takes_too_long_is_given_up(database_url: str) -> None:
    engine = connect(load({"postgres_url": database_url, **TIMEOUT}))
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        async with transaction(engine) as connection:
            await connection.execute(text("SELECT pg_sleep(20)"))
    assert time.monotonic() - began < BOUND_SECONDS
    assert caught.value.dependency == "postgres"
    assert await PostgresUsers(engine).state(NOBODY, 1) is None
    await engine.dispose()


async def test_a_patient_engine_waits(database_url: str) -> None:
    settings = load({"postgres_url": database_url, "postgres_timeout_seconds": "2"})
    engine = connect(settings, patient=True)
    async with transaction(engine) as connection:
        assert await connection.scalar(text("SELECT 1 FROM pg_sleep(2.1)")) == 1
    await engine.dispose()


async def test_waiting_for_a_free_connection_ends_too(database_url: str) -> None:
    engine = connect(load({"postgres_url": database_url, "postgres_pool_size": "1", **TIMEOUT}))
    async with engine.connect() as held:
        await held.execute(text("SELECT 1"))
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await PostgresUsers(engine).state(NOBODY, 1)
        assert time.monotonic() - began < BOUND_SECONDS
    await engine.dispose()


async def test_a_database_without_tables_says_what_to_do(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE users"))
    with pytest.raises(Unavailable, match="upnext migrate"):
        await PostgresUsers(engine).state(NOBODY, 1)


async def test_a_text_that_postgres_cannot_keep_is_the_callers_fault(engine: AsyncEngine) -> None:
    store = PostgresVideos(engine)
    with pytest.raises(InvalidInput, match="NUL"):
        await store.upsert_many([Video(id=VideoId("a"), title="a\0b")])
    with pytest.raises(InvalidInput, match="NUL"):
        await PostgresUsers(engine).state(UserId("a\0b"), 1)
    assert await store.count() == 0


async def test_nobody_at_the_address_is_unavailable(tmp_path: Path) -> None:
    for url in (f"postgresql://postgres@/upnext?host={tmp_path}", "postgresql://a@127.0.0.1:9/b"):
        engine = connect(load({"postgres_url": url}))
        with pytest.raises(Unavailable):
            await PostgresUsers(engine).state(NOBODY, 1)
        with pytest.raises(Unavailable):
            _ = [page async for page in PostgresVideos(engine).stream()]
        with pytest.raises(Unavailable):
            await PostgresInteractions(engine).add_many([watch("1", "nobody", "a")])
        await engine.dispose()


@pytest.mark.parametrize("url", ["mysql://host/db", "nonsense", "postgresql://host:port/db"])
def test_a_url_that_cannot_be_used_is_named(url: str) -> None:
    with pytest.raises(SetupError, match="UPNEXT_POSTGRES_URL"):
        driver_url(url)


def test_urls_keep_what_they_say() -> None:
    url = driver_url("postgres://me:p%40ss@db:5433/videos?sslmode=require")
    assert url.drivername == "postgresql+asyncpg"
    assert (url.username, url.password, url.host, url.port) == ("me", "p@ss", "db", 5433)
    assert not url.query


async def test_a_server_that_hangs_costs_no_more_than_the_time_allowed(database_url: str) -> None:
    engine = connect(load({"postgres_url": database_url, **TIMEOUT}))
    users = PostgresUsers(engine)
    process = await _backend(engine)
    os.kill(process, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await users.state(NOBODY, 1)
        assert time.monotonic() - began < BOUND_SECONDS
    finally:
        os.kill(process, signal.SIGCONT)
    assert await users.state(NOBODY, 1) is None
    await engine.dispose()


async def test_a_hurried_read_is_soon_given_up_and_then_nobody_asks(database_url: str) -> None:
    engine = connect(load({"postgres_url": database_url, "postgres_timeout_seconds": "20"}))
    answers = asyncio.Event()

    async def probe() -> None:
        await answers.wait()
        await ping(engine)

    breaker = Breaker("postgres", probe, failures=1, pause_seconds=0)
    users = PostgresUsers(guarded(engine, breaker, seconds=HURRIED_SECONDS))
    process = await _backend(engine)
    os.kill(process, signal.SIGSTOP)
    try:
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(Unavailable):
                await users.state(NOBODY, 1)
        assert time.monotonic() - began < 20 * HURRIED_SECONDS / 2
    finally:
        os.kill(process, signal.SIGCONT)
    answers.set()
    while breaker.is_open():  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0)
    unhurried = PostgresUsers(guarded(engine, breaker))
    assert await unhurried.state(NOBODY, 1) is None
    await breaker.close()
    await engine.dispose()


async def test_a_lost_connection_is_made_again_without_an_error(
    engine: AsyncEngine, database_url: str
) -> None:
    lost = await _backend(engine)
    other = connect(load({"postgres_url": database_url}))
    async with transaction(other) as connection:
        await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": lost})
    await other.dispose()
    assert await PostgresUsers(engine).state(NOBODY, 1) is None


async def _backend(engine: AsyncEngine) -> int:
    """The server's process behind the only connection of the pool."""
    async with transaction(engine) as connection:
        return int(await connection.scalar(text("SELECT pg_backend_pid()")))
