"""Jobs over HTTP, done by a real worker: made, fetched, taken up again after its end, forgotten."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.clock import utc_now
from core.settings import Settings
from storage.artifacts import artifact_store
from storage.postgres.engine import pool
from storage.postgres.interactions import PostgresInteractions
from storage.postgres.jobs import PostgresJobs
from tests.histories import watch
from tests.polling import eventually
from tests.processes import alive, below
from tests.served import Served, over_stores
from tests.stored import store_live, store_videos
from tests.working import Working
from upnext.jobs.old_jobs import forget_old_jobs

pytestmark = pytest.mark.integration

NAMES = [f"v{number:03}" for number in range(120)]
USERS = [f"job-{number:03}" for number in range(40)]


@pytest.fixture
def settings(tmp_path: Path, store_urls: dict[str, str]) -> Settings:
    return over_stores(tmp_path, **store_urls, index="exact")


@pytest.fixture
def version(settings: Settings) -> str:
    async def fill() -> str:
        async with pool(settings) as engine:
            await store_videos(engine, NAMES)
            rows = [
                watch(f"{user}-{at}", user, NAMES[(number + at) % len(NAMES)], hours=at)
                for number, user in enumerate(USERS)
                for at in range(3)
            ]
            await PostgresInteractions(engine).add_many(rows)
            return (await store_live(settings, engine, NAMES)).version

    return asyncio.run(fill())


@pytest.fixture
def client(settings: Settings, version: str) -> Iterator[httpx.Client]:  # noqa: ARG001 (first)
    with Served(settings) as server, server.client() as client:
        yield client


def ended(client: httpx.Client, job_id: str, seconds: float = 60) -> dict[str, Any]:
    """The job, once it has ended."""

    def job() -> dict[str, Any]:
        body: dict[str, Any] = client.get(f"/jobs/{job_id}").json()
        return body

    eventually(lambda: job()["status"] not in {"queued", "running"}, seconds=seconds, every=0.2)
    return job()


def lines(client: httpx.Client, job_id: str) -> list[dict[str, Any]]:
    answer = client.get(f"/jobs/{job_id}/result")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_lists_are_made_also_when_the_worker_is_killed(
    client: httpx.Client, settings: Settings, version: str, tmp_path: Path
) -> None:
    queued = client.post("/recommendations/batch/jobs", json={"all": True, "limit": 5})
    assert queued.status_code == 202
    first = queued.json()["job_id"]
    assert queued.headers["location"] == f"/jobs/{first}"
    assert client.get(f"/jobs/{first}/result").status_code == 409
    with Working(settings, tmp_path / "worker.log") as worker:
        eventually(lambda: client.get(f"/jobs/{first}").json()["status"] == "running", seconds=20)
        assert worker.process
        children = below(worker.process)
        worker.kill()
        eventually(lambda: not alive(children), seconds=20)
    assert client.get(f"/jobs/{first}").json()["status"] == "running"  # as far as anybody knows

    with Working(settings, tmp_path / "second.log") as worker:
        # Another job of that kind waits its turn; whoever was killed has a while to be heard of.
        second = client.post(
            "/recommendations/batch/jobs", json={"user_ids": [USERS[3], "nobody", USERS[1]]}
        ).json()["job_id"]
        done = ended(client, first)
        assert (done["status"], done["error"]) == ("done", None)
        assert done["progress"] == {"fraction": 1.0, "message": "done"}
        assert done["counts"]["lists"] == len(USERS)
        made = lines(client, first)
        assert [line["user_id"] for line in made] == USERS
        assert {line["model_version"] for line in made} == {version}
        assert {len(line["recommendations"]) for line in made} == {5}

        done = ended(client, second)
        assert (done["counts"]["lists"], done["counts"]["failed"]) == (2, 1)
        assert [line["user_id"] for line in lines(client, second)] == [USERS[3], USERS[1]]

        began = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - began < 8  # 1.5 of its own clock; other tests run beside it

    asyncio.run(_forgotten(settings, first))
    assert client.get(f"/jobs/{first}/result").status_code == 404
    assert client.get(f"/jobs/{first}").json()["status"] == "done"


async def _forgotten(settings: Settings, job_id: str) -> None:
    """Results are deleted after a week, jobs after 90 days."""
    store = artifact_store(settings.artifacts_url or "")
    async with pool(settings) as engine:
        await forget_old_jobs(settings, engine)
        assert len(store.keys("batches/")) == 2
        await forget_old_jobs(settings, engine, lambda: utc_now() + timedelta(days=8))
        assert store.keys("batches/") == []
        assert (await PostgresJobs(engine, utc_now).get(job_id)).result is None
