"""Counting how far videos of each length are watched, by which watches are weighed."""

from storage.postgres.read_replica import read_pool
from storage.postgres.watch_shares import PostgresWatchShares
from upnext.jobs.queued import Work


async def count_shares(work: Work) -> None:
    """Count anew; the job's counts say over how much. Raises `Unavailable`."""
    async with read_pool(work.settings, patient=True) as engine:
        counted = await PostgresWatchShares(engine).count()
    work.counts = {"buckets": len(counted), "watches": sum(one.watches for one in counted)}
    await work.jobs.finish(work.begun, work.counts)
