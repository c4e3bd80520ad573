"""Each embedded server: starts, answers its clients, keeps its data over a `kill -9`."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest
import redis

from core.errors import SetupError
from storage.embedded.identity import Identity, Record
from storage.embedded.postgres import PostgresServer
from storage.embedded.privilege import child_setup, unprivileged_account
from storage.embedded.server import EmbeddedServer
from storage.embedded.stack import SERVERS, EmbeddedStack, StoreName
from storage.milvus import blocking_client

pytestmark = pytest.mark.integration


async def postgres_write(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept (n int)")
    await connection.execute("INSERT INTO kept VALUES (7)")
    await connection.close()


async def postgres_read(url: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT n FROM kept")
    finally:
        await connection.close()


async def redis_write(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.set("kept", "7")
        client.execute_command("WAITAOF", 1, 0, 2000)


async def redis_read(url: str) -> object:
    with redis.Redis.from_url(url) as client:
        value = client.get("kept")
    assert isinstance(value, bytes)
    return int(value)


async def nats_write(url: str) -> None:
    client = await nats.connect(url)
    stream = client.jetstream()
    await stream.add_stream(name="kept", subjects=["kept"])
    await stream.publish("kept", b"7")
    await client.close()


async def nats_read(url: str) -> object:
    client = await nats.connect(url)
    message = await client.jetstream().get_last_msg("kept", "kept")
    await client.close()
    return int(message.data or b"0")


async def milvus_write(uri: str) -> None:
    def write() -> None:
        client = blocking_client(uri, timeout_seconds=10)
        client.create_collection("kept", dimension=2)
        client.insert("kept", [{"id": 7, "vector": [1.0, 0.0]}])
        client.close()

    await asyncio.to_thread(write)


async def milvus_read(uri: str) -> object:
    def read() -> object:
        client = blocking_client(uri, timeout_seconds=10)
        client.load_collection("kept")
        rows = client.get("kept", [7])
        client.close()
        return rows[0]["id"]

    await asyncio.to_thread(read)
    return await asyncio.to_thread(read)


Write = Callable[[str], Awaitable[None]]
Read = Callable[[str], Awaitable[object]]
TALKS: dict[StoreName, tuple[Write, Read]] = {
    "postgres": (postgres_write, postgres_read),
    "redis": (redis_write, redis_read),
    "bus": (nats_write, nats_read),
    "milvus": (milvus_write, milvus_read),
}


def kill_tree(server: EmbeddedServer) -> None:
    """SIGKILL to the server's own process alone, as the kernel does when memory runs out."""
    assert server.process is not None
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(30)


@pytest.fixture
def closed_home(tmp_path: Path) -> Path:
    """A home below a folder that only its owner may enter."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    return closed / "home"


@pytest.mark.parametrize("name", SERVERS)
async def test_data_outlives_kill_and_nothing_is_left(name: StoreName, closed_home: Path) -> None:
    write, read = TALKS[name]
    with EmbeddedStack(closed_home, [name]) as stack:
        server = stack.servers[name]
        await write(server.url)
        kill_tree(server)
    with EmbeddedStack(closed_home, [name]) as stack:
        server = stack.servers[name]
        assert await read(server.url) == 7
        assert server.process is not None
        pid, folder = server.process.pid, server.folder
    assert not psutil.pid_exists(pid)
    assert folder is None or not folder.exists()
    assert not server.record.exists()


@pytest.mark.parametrize("name", SERVERS)
async def test_restarts_in_place_at_the_same_address(name: StoreName, closed_home: Path) -> None:
    write, read = TALKS[name]
    with EmbeddedStack(closed_home, [name]) as stack:
        server = stack.servers[name]
        before = server.url
        await write(before)
        kill_tree(server)
        server.launch()
        server.wait_ready()
        assert server.url == before
        assert await read(server.url) == 7


def test_a_home_in_use_is_left_alone(closed_home: Path) -> None:
    with EmbeddedStack(closed_home, ["redis"]) as stack:
        server = stack.servers["redis"]
        record = Record.read(server.record)
        assert record is not None
        owner = Identity.of(os.getppid())
        Record(record.server, owner, record.folder).write(server.record)
        with pytest.raises(SetupError, match=f"in use by process {owner.pid}"):
            SERVERS["redis"](closed_home).launch()
        assert server.answers()


def test_leftovers_of_a_killed_owner_are_ended(closed_home: Path) -> None:
    left = PostgresServer(closed_home)
    left.launch()
    left.wait_ready()
    assert left.process is not None
    record = Record.read(left.record)
    assert record is not None
    gone = Identity(record.owner.pid, record.owner.created - 1000)
    Record(record.server, gone, record.folder).write(left.record)
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], cwd=left.data
    ) as bystander:
        with EmbeddedStack(closed_home, ["postgres"]) as stack:
            assert left.process.wait(5) == 0
            assert left.folder is not None
            assert not left.folder.exists()
            assert stack.servers["postgres"].answers()
        assert bystander.poll() is None, "only PostgreSQL's own processes are ended"
        bystander.kill()


def test_another_process_with_the_recorded_pid_is_not_touched(closed_home: Path) -> None:
    server = SERVERS["redis"](closed_home)
    server.record.parent.mkdir(parents=True)
    stranger = Identity(os.getpid(), Identity.own().created - 1000)
    Record(stranger, stranger, None).write(server.record)
    server.end_leftovers()
    assert not server.record.exists()


def test_a_start_that_fails_says_why_with_the_log(closed_home: Path) -> None:
    with EmbeddedStack(closed_home, ["postgres"]) as stack:
        data = stack.servers["postgres"].data
    (data / "postgresql.conf").write_text("port = no number\n")
    with (
        pytest.raises(SetupError, match=r"(?s)postgres ended at its start.*syntax error"),
        EmbeddedStack(closed_home, ["postgres"]),
    ):
        pass


def test_a_half_made_database_is_made_again(closed_home: Path) -> None:
    aside = closed_home / "postgres.new"
    aside.mkdir(parents=True)
    (aside / "PG_VERSION").write_text("18")
    with EmbeddedStack(closed_home, ["postgres"]) as stack:
        assert stack.servers["postgres"].answers()
    assert not aside.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_programs_below_a_closed_folder_can_be_run_as_nobody(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    program = closed / "program"
    program.write_text("#!/bin/sh\nid -un\n")
    program.chmod(0o755)
    setup = child_setup(signal.SIGKILL, unprivileged_account())

    done = subprocess.run(  # noqa: S603 - our own file
        ["/bin/sh", "-c", f"test -x {program} && exec {program}"],
        preexec_fn=setup,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.stdout == "nobody\n", done.stderr
