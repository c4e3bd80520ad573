"""The worker process: it waits for what is away, relays when it returns, and stops when told."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import make_url

from core.clock import utc_now
from core.settings import child_environment, load
from storage import bus
from storage.embedded.stack import EmbeddedStack
from storage.postgres.engine import connect
from storage.postgres.jobs import PostgresJobs
from storage.postgres.models import PostgresModels
from tests.measured import samples, undocumented
from tests.polling import eventually
from tests.ports import free_port
from upnext.exposing import FOLDER_VARIABLE
from upnext.worker import Heart

pytestmark = pytest.mark.integration

WORKER = """
from core.logging import configure
from core.settings import load
from upnext.worker import run
configure()
run(load())
"""
WORK = ("outbox relay", "events")


@pytest.fixture
def broker(tmp_path: Path) -> EmbeddedStack:
    """A bus of this test's own, not started."""
    return EmbeddedStack(tmp_path / "home", ["bus"])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def worker(
    broker: EmbeddedStack, database_url: str, redis_url: str, log: Path, port: int
) -> Iterator[subprocess.Popen[bytes]]:
    settings = load(
        {
            "postgres_url": database_url,
            "postgres_timeout_seconds": "60",  # a slow answer is not what is tested
            "redis_url": redis_url,
            "bus_url": broker.servers["bus"].url,
            "worker_metrics_port": str(port),
            "schedule_sweep": "off",  # only the one that is asked for is counted
            "home": str(log.parent / "worker"),
        }
    )
    shared = log.parent / "shared"  # with the API, as `upnext up` has it
    shared.mkdir()
    environment = child_environment(settings) | {FOLDER_VARIABLE: str(shared)}
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", WORKER], env=environment, stdout=out, stderr=out
        )
        yield process
        process.kill()
        process.wait()


def _refuse(url: str, times: int) -> None:
    """Be a bus that hangs up, until it has been asked so many times."""
    address = make_url(url)
    with socket.create_server((address.host or "", address.port or 0)) as listener:
        listener.settimeout(60)  # which is also the start of the worker
        for _ in range(times):
            listener.accept()[0].close()


async def _failed_run(url: str) -> None:
    engine = connect(load({"postgres_url": url}))
    models = PostgresModels(engine, utc_now)
    model, token = await models.create("content", {})
    await models.update(model.id, token, status="training")
    await models.update(model.id, token, status="failed", error="Stopped.")
    await engine.dispose()


async def _waiting(url: str) -> int:
    """Events that are not on the bus."""
    engine = connect(load({"postgres_url": url}))
    async with engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT id FROM outbox WHERE published_at IS NULL")
        count = len(rows.all())
    await engine.dispose()
    return count


async def _ask_for_a_sweep(url: str) -> None:
    engine = connect(load({"postgres_url": url}))
    assert await PostgresJobs(engine, utc_now).put("sweep", "ops")
    await engine.dispose()


def test_it_waits_for_the_bus_and_stops_when_told(
    worker: subprocess.Popen[bytes],
    broker: EmbeddedStack,
    database_url: str,
    log: Path,
    port: int,
) -> None:
    asyncio.run(_failed_run(database_url))
    _refuse(broker.servers["bus"].url, 8)
    assert asyncio.run(_waiting(database_url)) == 2
    with broker:
        asyncio.run(bus.setup(load({"bus_url": broker.servers["bus"].url})))
        eventually(lambda: asyncio.run(_waiting(database_url)) == 0, seconds=30, every=0.2)
        back = "The dependency is back."
        eventually(lambda: log.read_text().count(back) == len(WORK), seconds=30)
        _measures(port, database_url)
        written = {path.stem.rpartition("_")[2] for path in (log.parent / "shared").glob("*.db")}
        assert written == {str(worker.pid)}  # and not what it had started
        began = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=20) == 0
        assert time.monotonic() - began < 8  # 2 s, and the interpreter's own end
    lines = log.read_text()
    for work in WORK:
        said = [line for line in lines.splitlines() if f'"upnext.work":"{work}"' in line]
        assert ["Waiting" in line for line in said] == [True, False], lines
    assert "Traceback" not in lines


def _measures(port: int, database_url: str) -> None:
    """What a worker does is seen on its port."""
    address = f"http://127.0.0.1:{port}"
    assert httpx.get(f"{address}/health/live").json() == {"status": "ok"}
    assert httpx.get(f"{address}/else").status_code == 404
    asyncio.run(_ask_for_a_sweep(database_url))
    wanted = (
        'upnext_jobs_total{kind="sweep",outcome="done"} 1.0',
        'upnext_job_seconds_count{kind="sweep"} 1.0',
        'upnext_jobs_queued{kind="sweep"} 0.0',
        'upnext_job_last_success_timestamp_seconds{kind="sweep"}',
    )

    def measured() -> bool:
        text = httpx.get(f"{address}/metrics").text
        return all(line in text for line in wanted)

    eventually(measured, seconds=30, every=0.2)
    page = httpx.get(f"{address}/metrics").text
    assert undocumented(page) == []
    failed = "upnext_training_last_failure_timestamp_seconds"
    said = {one.labels["model_type"]: one.value for one in samples(page) if one.name == failed}
    assert said["als"] == 0
    assert time.time() - said["content"] < 120


async def test_a_worker_whose_event_loop_stands_still_is_not_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heart = Heart()
    beating = asyncio.create_task(heart.beat())
    await asyncio.sleep(0)
    assert heart.beats()
    beating.cancel()
    monkeypatch.setattr("upnext.worker.STUCK_SECONDS", 0.0)
    assert not heart.beats()
