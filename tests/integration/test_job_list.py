"""Jobs as those who run the service see them."""

import json
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import utc_now
from core.errors import Conflict, JobNotFound
from core.jobs import Job, JobKind
from core.types import UserId
from storage.job_status import MOST_BEGUN, GivenUp
from storage.postgres.erasure import PostgresErasures
from storage.postgres.job_list import Backlog, PostgresJobList
from storage.postgres.jobs import PostgresJobs
from upnext.cli import main
from upnext.jobs.old_jobs import UPKEEP_KEPT

pytestmark = pytest.mark.integration


@pytest.fixture
def jobs(engine: AsyncEngine) -> PostgresJobs:
    return PostgresJobs(engine, utc_now)


@pytest.fixture
def every(engine: AsyncEngine) -> PostgresJobList:
    return PostgresJobList(engine, utc_now)


async def done(jobs: PostgresJobs, kind: JobKind) -> Job:
    job = await jobs.ask(kind, "schedule", {})
    begun = await jobs.begin(job.id)
    assert begun
    await jobs.finish(begun, {})
    return await jobs.get(job.id)


async def test_a_job_that_is_cancelled_writes_no_more_and_can_be_tried_again(
    jobs: PostgresJobs, every: PostgresJobList
) -> None:
    job = await jobs.ask("batch", "shop", {"limit": 3})
    begun = await jobs.begin(job.id)
    assert begun
    cancelled = await every.cancel(job.id)
    assert (cancelled.status, cancelled.error) == ("cancelled", "It was cancelled.")
    with pytest.raises(GivenUp, match="cancelled"):
        await jobs.finish(begun, {})
    with pytest.raises(Conflict, match="has ended"):
        await every.cancel(job.id)
    assert await jobs.begin(job.id) is None

    again = await every.retry(job.id)
    assert (again.id, again.status, again.error, again.finished_at) == (
        job.id,
        "queued",
        None,
        None,
    )
    for _ in range(MOST_BEGUN):  # it begins anew, and with what was asked
        begun = await jobs.begin(job.id)
        assert begun
        assert begun.params == {"limit": 3}
    with pytest.raises(Conflict, match="is running"):
        await every.retry(job.id)
    assert await jobs.begin(job.id) is None
    assert (await every.retry(job.id)).status == "queued"
    with pytest.raises(JobNotFound, match="upnext jobs list"):
        await every.retry("none")


async def test_erasures_are_neither_stopped_nor_remembered(
    jobs: PostgresJobs, every: PostgresJobList, engine: AsyncEngine
) -> None:
    erasure = await PostgresErasures(engine, utc_now).ask(UserId("ann"), "ops")
    with pytest.raises(Conflict, match="promised"):
        await every.cancel(erasure.id)
    begun = await jobs.begin(erasure.id)
    assert begun
    await jobs.fail(begun, "for a test")
    with pytest.raises(Conflict, match="DELETE /users/ID"):
        await every.retry(erasure.id)
    upkeep = await jobs.put("sweep", "ops")
    assert upkeep
    await every.cancel(upkeep.id)
    with pytest.raises(Conflict, match="upnext jobs run sweep"):
        await every.retry(upkeep.id)


async def test_of_upkeep_the_last_is_shown_and_kept(
    jobs: PostgresJobs, every: PostgresJobList
) -> None:
    old, last = [await done(jobs, "encoding") for _ in range(2)]
    batch = await jobs.ask("batch", "shop", {})
    assert [job.id for job in await every.find(most=9)] == [batch.id, last.id, old.id]
    assert [job.id for job in await every.find(most=9, every=False)] == [batch.id, last.id]
    assert [job.id for job in await every.find("encoding", "done", most=1)] == [last.id]
    now = utc_now()
    assert await jobs.prune(now - UPKEEP_KEPT, now + timedelta(minutes=1)) == 1
    assert [job.id for job in await every.find(most=9)] == [batch.id, last.id]


async def test_the_backlog_is_counted_by_kind(jobs: PostgresJobs, every: PostgresJobList) -> None:
    first = await jobs.ask("batch", "shop", {})
    await jobs.ask("batch", "shop", {})
    last = await done(jobs, "sweep")
    assert sorted(await every.backlog(), key=lambda one: one.kind) == [
        Backlog("batch", 2, 0, first.created_at, None),
        Backlog("sweep", 0, 0, None, last.finished_at),
    ]


def upnext(*arguments: str) -> Any:
    result = CliRunner().invoke(main, ["jobs", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_command_shows_asks_stops_and_retries(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPNEXT_POSTGRES_URL", database_url)
    assert upnext("list") == {"jobs": []}
    job = upnext("run", "sweep")
    assert (job["kind"], job["status"], job["asked_by"]) == ("sweep", "queued", "command")
    again = CliRunner().invoke(main, ["jobs", "run", "sweep"])
    assert again.exit_code == 1
    assert "upnext jobs list --kind sweep" in again.stderr
    assert upnext("show", job["id"])["id"] == job["id"]
    assert upnext("cancel", job["id"])["status"] == "cancelled"
    assert [one["id"] for one in upnext("list", "--status", "cancelled")["jobs"]] == [job["id"]]
    shown = CliRunner().invoke(main, ["jobs", "list"]).stdout
    assert job["id"] in shown
    assert "It was cancelled." in shown
    refused = CliRunner().invoke(main, ["jobs", "retry", job["id"]])
    assert "upnext jobs run sweep" in refused.stderr
