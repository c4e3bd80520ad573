"""New videos come into the versions that serve by schedule, whatever befalls the worker."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.clock import utc_now
from core.cron import OFF
from core.jobs import Job
from core.settings import Settings
from embeddings.text import REVISION
from storage.postgres.engine import pool
from storage.postgres.job_list import PostgresJobList
from storage.postgres.jobs import PostgresJobs
from tests.catalogues import fitted_of, video
from tests.integration.test_encode_new import VIDEOS, keep_encoded, vectors_of
from tests.log_lines import checked
from tests.polling import eventually
from tests.processes import alive
from tests.served import Served, over_stores, put_live, write_videos
from tests.working import Working
from upnext.jobs.encoding import CHILD

pytestmark = pytest.mark.integration

NEW = [video(f"new-{number}", "space", age_days=0) for number in range(3)]


@pytest.fixture
def settings(tmp_path: Path, store_urls: dict[str, str]) -> Settings:
    settings = over_stores(tmp_path, **store_urls)
    write_videos(settings, VIDEOS)
    keep_encoded(settings, [*VIDEOS, *NEW])
    put_live(settings, fitted_of([one.id for one in VIDEOS], vectors_of(VIDEOS)), REVISION)
    return settings


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    with Served(settings) as server, server.client() as client:
        yield client


def by_schedule(settings: Settings, schedule: str) -> Settings:
    return settings.model_copy(update={"schedule_encoding": schedule})


def put(client: httpx.Client, number: int) -> str:
    one = NEW[number]
    body = {
        "title": one.title,
        "description": one.description,
        "genres": list(one.genres),
        "published_at": one.published_at and one.published_at.isoformat(),
    }
    client.put(f"/videos/{one.id}", json=body).raise_for_status()
    return one.id


def found(client: httpx.Client, name: str) -> bool:
    """Whether a video is similar to another, and has similar ones itself."""
    similar = client.get("/videos/v002/similar", params={"limit": 100}).json()["recommendations"]
    its_own = client.get(f"/videos/{name}/similar").json()
    there = name in [one["content_id"] for one in similar]
    return there and its_own["metadata"]["degraded"] == []


def near(client: httpx.Client, name: str) -> bool:
    """Whether a video is near to somebody who was never here before."""
    user = f"enno-{name}"
    watched = client.post(f"/users/{user}/watch-history", json={"content_id": "v002"})
    watched.raise_for_status()
    recommended = client.get(f"/recs/{user}", params={"limit": 100}).json()["recommendations"]
    return (name, "nearest") in [(one["content_id"], one["source"]) for one in recommended]


def encodings(settings: Settings) -> list[Job]:
    async def find() -> list[Job]:
        async with pool(settings) as engine:
            return await PostgresJobList(engine, utc_now).find("encoding", most=1000)

    return asyncio.run(find())


def test_new_videos_are_found_without_anybody_asking(
    client: httpx.Client, settings: Settings, tmp_path: Path
) -> None:
    with Working(by_schedule(settings, "* * * * * *"), tmp_path / "first.log") as worker:
        first = put(client, 0)
        eventually(lambda: found(client, first), seconds=60, every=0.2)
        assert near(client, first)
        done = len(encodings(settings))
        eventually(lambda: len(encodings(settings)) >= done + 3, seconds=30, every=0.3)
        quick = [job for job in encodings(settings) if job.status == "done"][:2]
        # Nothing new: no process, which would have said what each version took in.
        assert [job.counts for job in quick] == [{"encoded": 0}] * 2

        second = put(client, 1)
        child = worker.caught(CHILD, seconds=30)
        worker.kill()
        eventually(lambda: not alive([child]), seconds=30)
        assert not found(client, second)

    with Working(by_schedule(settings, OFF), tmp_path / "second.log") as worker:  # nobody asks
        began = time.monotonic()
        eventually(lambda: found(client, second), seconds=50, every=0.2)
        assert time.monotonic() - began < 50
        eventually(lambda: encodings(settings)[0].status == "done", seconds=30, every=0.3)

        put(client, 2)
        asyncio.run(_asked_for(settings))
        child = worker.caught(CHILD, seconds=30)
        asyncio.run(_cancelled(settings, encodings(settings)[0]))
        eventually(lambda: not alive([child]), seconds=20)  # it hears no SIGTERM
        assert encodings(settings)[0].status == "cancelled"
    for name in ("first.log", "second.log"):
        lines = checked((tmp_path / name).read_text().split("\n")[:-1])  # of children, too
        assert not [line for line in lines if "error.stack_trace" in line]


async def _asked_for(settings: Settings) -> Any:
    async with pool(settings) as engine:
        assert await PostgresJobs(engine, utc_now).put("encoding", "ops")


async def _cancelled(settings: Settings, job: Job) -> None:
    async with pool(settings) as engine:
        await PostgresJobList(engine, utc_now).cancel(job.id)
