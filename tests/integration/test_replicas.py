"""What replicas report, and the lock that one publisher holds, in a real database."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import Conflict, Unavailable
from core.settings import child_environment, load
from storage.postgres.engine import connect, pool, transaction
from storage.postgres.publishing import adding, publishing
from storage.postgres.replicas import PostgresReplicas
from tests.polling import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def replicas(engine: AsyncEngine) -> PostgresReplicas:
    return PostgresReplicas(engine)


async def age(engine: AsyncEngine, replica: str, seconds: int) -> None:
    """Let a replica's last report be this old."""
    async with transaction(engine) as connection:
        await connection.execute(
            text("UPDATE replicas SET seen_at = now() - make_interval(secs => :s) WHERE id = :id"),
            {"s": seconds, "id": replica},
        )


async def test_those_lack_a_version_that_run_without_it(
    replicas: PostgresReplicas, engine: AsyncEngine
) -> None:
    assert await replicas.lacking("new") == []
    await replicas.report("b", ["old"])
    await replicas.report("a", ["old", "new"])
    assert await replicas.lacking("new") == ["b"]
    assert await replicas.lacking("newest") == ["a", "b"]
    await age(engine, "b", 11)
    assert await replicas.lacking("new") == []
    await replicas.report("b", ["old"])
    assert await replicas.lacking("new") == ["b"]
    await replicas.report("b", ["new"])
    assert await replicas.lacking("new") == []
    assert await replicas.lacking("old") == ["b"]


async def test_who_left_or_is_silent_for_a_minute_is_forgotten(
    replicas: PostgresReplicas, engine: AsyncEngine
) -> None:
    for name in ("left", "silent", "running"):
        await replicas.report(name, [])
    await replicas.leave("left")
    await age(engine, "silent", 61)
    await asyncio.gather(*(replicas.report(f"r{n}", []) for n in range(8)))
    async with transaction(engine) as connection:
        rows = (await connection.execute(text("SELECT id FROM replicas"))).scalars().all()
    assert sorted(rows) == sorted(["running", *(f"r{n}" for n in range(8))])


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[AsyncEngine]:
    """The connections of another process."""
    engine = connect(load({"postgres_url": database_url}))
    yield engine
    await engine.dispose()


async def test_one_publishes_at_a_time_and_the_next_has_its_turn_then(
    engine: AsyncEngine, other: AsyncEngine, database_url: str
) -> None:
    began = asyncio.Event()

    async def publish() -> None:
        async with publishing(other):
            began.set()

    async with publishing(engine):
        second = asyncio.create_task(publish())
        await asyncio.to_thread(eventually, lambda: asyncio.run(_somebody_waits(database_url)))
        assert not began.is_set()
    async with asyncio.timeout(30):
        await second
    assert began.is_set()


async def test_the_wait_for_who_publishes_ends(engine: AsyncEngine, other: AsyncEngine) -> None:
    async with publishing(engine):
        with pytest.raises(Conflict, match="being published all the while"):
            async with publishing(other, turn_seconds=0.01):
                pytest.fail("two publish")
    async with publishing(other):
        pass


async def test_who_publishes_waits_for_who_adds(
    engine: AsyncEngine, other: AsyncEngine, database_url: str
) -> None:
    began, done = asyncio.Event(), asyncio.Event()

    async def publish() -> None:
        async with publishing(other):
            began.set()
            await done.wait()

    async with adding(engine):
        publisher = asyncio.create_task(publish())
        await asyncio.to_thread(eventually, lambda: asyncio.run(_somebody_waits(database_url)))
        assert not began.is_set()
    async with asyncio.timeout(30):
        await began.wait()
    with pytest.raises(Conflict):
        async with adding(engine):
            pytest.fail("somebody adds to what is being published")
    done.set()
    await publisher


async def _somebody_waits(database_url: str) -> bool:
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    async with pool(load({"postgres_url": database_url})) as own, transaction(own) as connection:
        return bool(await connection.scalar(waiting))


async def test_a_failure_of_ones_own_lets_go_and_stays_what_it_is(
    engine: AsyncEngine, other: AsyncEngine
) -> None:
    with pytest.raises(OSError, match="our own"):
        async with publishing(engine):
            raise OSError("our own")
    async with publishing(other):
        pass


async def test_no_transaction_is_open_while_publishing(
    engine: AsyncEngine, other: AsyncEngine
) -> None:
    async with publishing(engine), transaction(other) as connection:
        states = await connection.execute(
            text(
                "SELECT state FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        )
        assert states.scalars().all() == ["idle"]


async def test_a_lost_lock_is_told_at_the_end(engine: AsyncEngine, other: AsyncEngine) -> None:
    ours = publishing(engine)
    await ours.__aenter__()
    async with transaction(other) as connection:
        await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks"
                " WHERE locktype = 'advisory' AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )
    async with publishing(other):  # nobody holds it any more
        pass
    with pytest.raises(Unavailable):
        await ours.__aexit__(None, None, None)


HOLDER = """
import asyncio, sys
from core.settings import load
from storage.postgres.engine import pool
from storage.postgres.publishing import publishing

async def hold():
    async with pool(load()) as engine, publishing(engine):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


async def test_a_killed_publisher_lets_go(engine: AsyncEngine, database_url: str) -> None:
    environment = child_environment(load({"postgres_url": database_url}))
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, env=environment, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"held\n"
        with pytest.raises(Conflict):
            async with publishing(engine, turn_seconds=0.01):
                pytest.fail("two publish")
        holder.send_signal(signal.SIGKILL)
        await holder.wait()
        await asyncio.to_thread(eventually, lambda: asyncio.run(_free(database_url)))
    finally:
        if holder.returncode is None:
            holder.kill()
            await holder.wait()


async def _free(url: str) -> bool:
    async with pool(load({"postgres_url": url})) as engine:
        try:
            async with publishing(engine, turn_seconds=0.01):
                return True
        except Conflict:
            return False
