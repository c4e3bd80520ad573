"""Forgetting jobs that ended long ago, and what they made."""

import asyncio
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import Clock, utc_now
from core.settings import Settings
from embeddings.ports import ArtifactStore
from storage.artifacts import artifact_store
from storage.postgres.jobs import PostgresJobs
from upnext.jobs.keys import RESULTS, job_of, result_key

JOBS_KEPT = timedelta(days=90)
UPKEEP_KEPT = timedelta(days=2)  # thousands a day, and nobody asked for them


async def forget_old_jobs(settings: Settings, engine: AsyncEngine, clock: Clock = utc_now) -> int:
    """Delete results past `job_results_days`, and jobs that ended 90 days ago; how many jobs.

    Upkeep that ended well is deleted after two days. And files of attempts that ended before they
    could say that they had stored one.

    Raises:
        Unavailable: a store did not answer; the rest is deleted the next time.
    """
    jobs, now = PostgresJobs(engine, clock), clock()
    if settings.artifacts_url is not None:
        store = artifact_store(settings)
        for job in await jobs.results(now - timedelta(days=settings.job_results_days)):
            await asyncio.to_thread(store.delete, result_key(job.id))
            await jobs.drop_result(job.id)
        await _forget_strays(jobs, store)
    return await jobs.prune(now - JOBS_KEPT, now - UPKEEP_KEPT)


async def _forget_strays(jobs: PostgresJobs, store: ArtifactStore) -> None:
    """Delete files that are nobody's result and that nobody is making."""
    there = await asyncio.to_thread(store.keys, RESULTS)
    results = {job.result for job in await jobs.results()} if there else set()
    for key in there:
        if key in results:
            continue
        async with jobs.nobody_makes(job_of(key)) as nobody:
            if nobody:
                await asyncio.to_thread(store.delete, key)
