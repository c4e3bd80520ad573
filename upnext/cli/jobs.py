"""`upnext jobs`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast, get_args

import click
import msgspec
from rich.table import Table

from core.clock import utc_now
from core.errors import Conflict
from core.jobs import UPKEEP, Job, JobKind, JobStatus, UpkeepKind
from storage.postgres.engine import pool
from storage.postgres.job_list import PostgresJobList
from storage.postgres.jobs import PostgresJobs
from upnext.cli.console import JSON, details, emit
from upnext.cli.context import stores

ASKED_BY = "command"
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Stores:
    """Both sides of jobs, over one pool."""

    jobs: PostgresJobs
    list: PostgresJobList


@click.group()
def jobs() -> None:
    """List, show, run, cancel and retry jobs. Trainings are in `upnext models list`."""


@jobs.command("list")
@click.option("--kind", type=click.Choice(get_args(JobKind)), help="Of this kind only.")
@click.option("--status", type=click.Choice(get_args(JobStatus)), help="Of this status only.")
@click.option("--all", "every", is_flag=True, help="Also upkeep that ended well, but for the last.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@JSON
def list_(kind: str | None, status: str | None, limit: int, *, every: bool, as_json: bool) -> None:
    """Jobs, newest first; of upkeep that ended well the last of each kind.

    \b
    Example: upnext jobs list --status failed
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    every = every or kind is not None or status is not None

    async def find(there: Stores) -> list[Job]:
        of_kind, of_status = cast("JobKind | None", kind), cast("JobStatus | None", status)
        return await there.list.find(of_kind, of_status, most=limit, every=every)

    found = _with(find)
    emit({"jobs": found}, as_json=as_json, table=lambda: _table(found))


@jobs.command()
@click.argument("job_id", metavar="ID")
@JSON
def show(job_id: str, *, as_json: bool) -> None:
    """One job: how far it is, what it did, why it failed.

    \b
    Example: upnext jobs show 5d0c...
    """  # noqa: D301
    job = _with(lambda there: there.jobs.get(job_id))
    emit(job, as_json=as_json, table=lambda: details(msgspec.to_builtins(job)))


@jobs.command()
@click.argument("kind", type=click.Choice(UPKEEP))
@JSON
def run(kind: str, *, as_json: bool) -> None:
    """Ask for a job of upkeep now, whatever its schedule says; a worker does it.

    \b
    Example: upnext jobs run encoding
    """  # noqa: D301

    async def put(there: Stores) -> Job:
        job = await there.jobs.put(cast("UpkeepKind", kind), ASKED_BY)
        if job is None:
            raise Conflict(
                f"One is queued or running already: see it with `upnext jobs list --kind {kind}`."
            )
        return job

    job = _with(put)
    emit(job, as_json=as_json, table=lambda: _table([job]))


@jobs.command()
@click.argument("job_id", metavar="ID")
@JSON
def cancel(job_id: str, *, as_json: bool) -> None:
    """Stop a job that is queued or running; its worker hears of it within seconds.

    \b
    Example: upnext jobs cancel 5d0c...
    """  # noqa: D301
    job = _with(lambda there: there.list.cancel(job_id))
    emit(job, as_json=as_json, table=lambda: _table([job]))


@jobs.command()
@click.argument("job_id", metavar="ID")
@JSON
def retry(job_id: str, *, as_json: bool) -> None:
    """Queue a batch again that failed or was cancelled, under the same id.

    \b
    Example: upnext jobs retry 5d0c...
    """  # noqa: D301
    job = _with(lambda there: there.list.retry(job_id))
    emit(job, as_json=as_json, table=lambda: _table([job]))


def _with(work: Callable[[Stores], Awaitable[Result]]) -> Result:
    """What `work` gives over the stores of the environment."""

    async def through() -> Result:
        async with pool(settings) as engine:
            there = Stores(PostgresJobs(engine, utc_now), PostgresJobList(engine, utc_now))
            return await work(there)

    with stores(["postgres"]) as settings:
        return asyncio.run(through())


def _table(found: Sequence[Job]) -> Table:
    """Jobs, a row each."""
    table = Table()
    table.add_column("id", no_wrap=True)  # to be pasted into the next command
    for name in ("kind", "status", "asked by", "created (UTC)", "took", "what"):
        table.add_column(name)
    for job in found:
        created = f"{job.created_at:%Y-%m-%d %H:%M:%S}"
        row = (job.id, job.kind, job.status, job.asked_by, created, _took(job), _what(job))
        table.add_row(*row)
    return table


def _took(job: Job) -> str:
    if job.started_at is None:
        return "-"
    took = (job.finished_at or utc_now()) - job.started_at
    return f"{took / timedelta(seconds=1):,.1f} s"


def _what(job: Job) -> str:
    """Why it ended, or how far it is, or what it did."""
    if job.error:
        return job.error
    if job.status == "done":
        return ", ".join(f"{name} {value}" for name, value in job.counts.items())
    if job.progress is None:
        return "-"
    return f"{job.progress.fraction:.0%} {job.progress.message}"
