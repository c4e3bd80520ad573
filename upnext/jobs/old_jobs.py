"""Forgetting jobs that ended long ago, and what they made."""

import asyncio
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import Clock, utc_now
from core.settings import Settings
from storage.artifacts import artifact_store
from storage.postgres.jobs import PostgresJobs
from upnext.jobs.keys import result_key

JOBS_KEPT = timedelta(days=90)


async def forget_old_jobs(settings: Settings, engine: AsyncEngine, clock: Clock = utc_now) -> None:
    """Delete results past `job_results_days`, and jobs that ended 90 days ago.

    Raises:
        Unavailable: a store did not answer; the rest is deleted the next time.
    """
    jobs, now = PostgresJobs(engine, clock), clock()
    for job in await jobs.results(now - timedelta(days=settings.job_results_days)):
        store = artifact_store(settings.artifacts_url or "")
        await asyncio.to_thread(store.delete, result_key(job.id))
        await jobs.drop_result(job.id)
    await jobs.prune(now - JOBS_KEPT)
